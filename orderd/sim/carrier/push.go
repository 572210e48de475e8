package carrier

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// StatusError is the shop's answer to a push that it did not take.
type StatusError struct{ Status int }

// Error has the status.
func (e *StatusError) Error() string { return fmt.Sprintf("the shop answered %d", e.Status) }

// push posts events until they are taken or must not be sent again.
func (s *Simulator) push(ctx context.Context, p push, f Faults) error {
	body, err := json.Marshal(map[string]any{"shipment_id": p.shipmentID, "events": p.events})
	if err != nil {
		return err
	}
	var last error
	for i := range pushAttempts {
		if i > 0 {
			timer := time.NewTimer(pushPause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return errors.Join(ctx.Err(), last)
			}
		}
		status, err := s.post(ctx, body, f)
		switch {
		case err != nil:
			last = err
		case status == http.StatusNoContent:
			return nil
		case status == http.StatusServiceUnavailable:
			last = &StatusError{Status: status}
		default:
			return &StatusError{Status: status}
		}
	}
	return last
}

// PushTo changes the shop's base URL that pushes go to.
func (s *Simulator) PushTo(shopURL string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.ShopURL = shopURL
}

// PushAgain pushes all that has happened to a parcel once more.
func (s *Simulator) PushAgain(ctx context.Context, shipmentID string) error {
	p, ok := s.Parcel(shipmentID)
	if !ok {
		return errors.New("no such parcel")
	}
	return s.push(ctx, push{shipmentID: shipmentID, events: p.Events}, Faults{})
}

func (s *Simulator) post(ctx context.Context, body []byte, f Faults) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	path := "/carriers/" + s.o.Name + "/events"
	s.mu.Lock()
	base := strings.TrimSuffix(s.o.ShopURL, "/")
	s.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	key := s.o.Key
	if f.Forge {
		key = []byte("somebody else's key")
	}
	nonce := rand.Text()
	stamp := strconv.FormatInt(s.o.Clock().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Carrier-Timestamp", stamp)
	req.Header.Set("Carrier-Nonce", nonce)
	req.Header.Set("Carrier-Signature", "v1="+Sign(key, "POST", path, stamp, nonce, body))
	resp, err := s.o.Client.Do(req)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}

// Sign is the protocol's signature without its version: five lines, each ended by a line feed.
func Sign(key []byte, method, path, stamp, nonce string, body []byte) string {
	digest := sha256.Sum256(body)
	text := fmt.Sprintf("%s\n%s\n%s\n%s\n%s\n", method, path, stamp, nonce, hex.EncodeToString(digest[:]))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// authentic checks a request's signature, time and nonce.
func (s *Simulator) authentic(r *http.Request, body []byte) error {
	stamp, nonce := r.Header.Get("Carrier-Timestamp"), r.Header.Get("Carrier-Nonce")
	want := "v1=" + Sign(s.o.Key, r.Method, r.URL.Path, stamp, nonce, body)
	if !hmac.Equal([]byte(want), []byte(r.Header.Get("Carrier-Signature"))) {
		return errors.New("the signature is wrong")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	now := s.o.Clock()
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > clockSkew {
		return errors.New("the timestamp is too far away")
	}
	if len(nonce) < 16 || len(nonce) > 64 {
		return errors.New("the nonce is not one")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.swept) > clockSkew {
		s.swept = now
		maps.DeleteFunc(s.nonces, func(_ string, at time.Time) bool { return now.Sub(at) > 2*clockSkew })
	}
	if _, seen := s.nonces[nonce]; seen {
		return errors.New("the nonce was used before")
	}
	s.nonces[nonce] = now
	return nil
}
