package carrier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	// callTimeout bounds a call from its first byte to its answer's last.
	callTimeout = 5 * time.Second
	// maxAnswerBytes is the largest answer that is read.
	maxAnswerBytes = 256 << 10
	maxIdle        = 32
	idleTimeout    = 30 * time.Second
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// HTTPOptions of a carrier. All but Client have to be set.
type HTTPOptions struct {
	// Name in the API: a DNS label of at most 32 characters.
	Name string
	// URL is the base URL of its API.
	URL string
	// Key that both sides sign with; at least 16 bytes.
	Key   []byte
	Clock func() time.Time
	// Random makes nonces: crypto/rand.Reader.
	Random io.Reader
	// Client makes the calls; one with bounded idle connections if nil. Redirects are never followed.
	Client *http.Client
}

// HTTP is a carrier that speaks the package's protocol.
type HTTP struct {
	name   string
	base   string
	signer *signer
	now    func() time.Time
	client *http.Client
}

var _ Carrier = (*HTTP)(nil)

// NewHTTP checks the options.
func NewHTTP(o HTTPOptions) (*HTTP, error) {
	if !namePattern.MatchString(o.Name) {
		return nil, fmt.Errorf("carrier %q: the name is not a DNS label of at most 32 characters", o.Name)
	}
	u, err := url.Parse(o.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("carrier %s: the URL is not an absolute http or https URL", o.Name)
	}
	s, err := newSigner(o.Key, o.Random)
	if err != nil {
		return nil, fmt.Errorf("carrier %s: %w", o.Name, err)
	}
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: idleTimeout, ForceAttemptHTTP2: true,
	}}
	if o.Client != nil {
		*client = *o.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &HTTP{name: o.Name, base: strings.TrimSuffix(o.URL, "/"), signer: s, now: o.Clock, client: client}, nil
}

// Name is as configured.
func (h *HTTP) Name() string { return h.name }

// Request is PUT /v1/shipments/{id}.
func (h *HTTP) Request(ctx context.Context, p Parcel) (string, error) {
	body, err := encodeParcel(p)
	if err != nil {
		return "", err
	}
	status, answer, err := h.call(ctx, http.MethodPut, shipmentPath(p.ShipmentID), body)
	switch {
	case err != nil:
		return "", err
	case status == http.StatusOK:
		return decodeAccepted(answer)
	case status == http.StatusUnprocessableEntity:
		return "", decodeRefused(answer)
	}
	return "", h.unexpected(status)
}

// Track is GET /v1/shipments/{id}/events.
func (h *HTTP) Track(ctx context.Context, shipmentID uuid.UUID) ([]Event, error) {
	status, answer, err := h.call(ctx, http.MethodGet, shipmentPath(shipmentID)+"/events", nil)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusOK:
		_, events, err := decodeEvents(answer, MaxTrackedEvents)
		return events, err
	case status == http.StatusNotFound:
		return nil, ErrUnknownShipment
	}
	return nil, h.unexpected(status)
}

// Cancel is DELETE /v1/shipments/{id}.
func (h *HTTP) Cancel(ctx context.Context, shipmentID uuid.UUID) error {
	status, _, err := h.call(ctx, http.MethodDelete, shipmentPath(shipmentID), nil)
	switch {
	case err != nil:
		return err
	case status == http.StatusNoContent:
		return nil
	case status == http.StatusConflict:
		return ErrCollected
	}
	return h.unexpected(status)
}

// ParsePush believes what is signed with our key and not too old.
func (h *HTTP) ParsePush(header http.Header, body []byte, now time.Time) (Push, error) {
	if err := h.signer.verify(header, http.MethodPost, "/carriers/"+h.name+"/events", body, now); err != nil {
		return Push{}, err
	}
	w, events, err := decodeEvents(body, MaxPushedEvents)
	if err != nil || len(events) == 0 || w.ShipmentID == uuid.Nil {
		return Push{}, &PushError{Reason: reasonMalformed}
	}
	return Push{ShipmentID: w.ShipmentID, Events: events}, nil
}

// call makes one signed request and reads the bounded answer.
func (h *HTTP) call(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, h.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("carrier %s: %w", h.name, err)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if err := h.signer.sign(req.Header, method, path, body, h.now()); err != nil {
		return 0, nil, fmt.Errorf("carrier %s: %w", h.name, err)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("carrier %s: %w", h.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if err != nil {
		return 0, nil, fmt.Errorf("carrier %s: reading the answer: %w", h.name, err)
	}
	if len(answer) > maxAnswerBytes {
		return 0, nil, fmt.Errorf("carrier %s: %w", h.name, errAnswerTooLarge)
	}
	return resp.StatusCode, answer, nil
}

var errAnswerTooLarge = errors.New("the answer is too large")

func (h *HTTP) unexpected(status int) error {
	return fmt.Errorf("carrier %s answered %d", h.name, status)
}

func shipmentPath(id uuid.UUID) string { return "/v1/shipments/" + id.String() }
