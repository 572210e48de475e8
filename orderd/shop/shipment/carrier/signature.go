package carrier

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed request.
const (
	TimestampHeader = "Carrier-Timestamp"
	NonceHeader     = "Carrier-Nonce"
	SignatureHeader = "Carrier-Signature"

	// Tolerance is how far a request's time may be from ours.
	Tolerance = 5 * time.Minute

	signatureVersion = "v1="
	minKeyBytes      = 16
	nonceBytes       = 16
	minNonce         = 16
	maxNonce         = 64
	// maxTimestamp is more than any timestamp needs.
	maxTimestamp = 20
)

// signer signs and checks requests by the package's protocol.
type signer struct {
	key    []byte
	random io.Reader
}

func newSigner(key []byte, random io.Reader) (*signer, error) {
	if len(key) < minKeyBytes {
		return nil, fmt.Errorf("the key has %d bytes, want at least %d", len(key), minKeyBytes)
	}
	if random == nil {
		return nil, errors.New("there is no source of randomness")
	}
	return &signer{key: key, random: random}, nil
}

// sign sets the headers of a request.
func (s *signer) sign(header http.Header, method, path string, body []byte, now time.Time) error {
	raw := make([]byte, nonceBytes)
	if _, err := io.ReadFull(s.random, raw); err != nil {
		return fmt.Errorf("nonce: %w", err)
	}
	timestamp, nonce := strconv.FormatInt(now.Unix(), 10), hex.EncodeToString(raw)
	header.Set(TimestampHeader, timestamp)
	header.Set(NonceHeader, nonce)
	header.Set(SignatureHeader, signatureVersion+hex.EncodeToString(s.mac(method, path, timestamp, nonce, body)))
	return nil
}

// verify checks the headers of a request; an error is a *PushError.
func (s *signer) verify(header http.Header, method, path string, body []byte, now time.Time) error {
	timestamp, nonce := header.Get(TimestampHeader), header.Get(NonceHeader)
	text, ok := strings.CutPrefix(header.Get(SignatureHeader), signatureVersion)
	if !ok || !validNonce(nonce) || timestamp == "" || len(timestamp) > maxTimestamp {
		return &PushError{Reason: reasonMissing}
	}
	given, err := hex.DecodeString(text)
	if err != nil || !hmac.Equal(given, s.mac(method, path, timestamp, nonce, body)) {
		return &PushError{Reason: reasonWrong}
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return &PushError{Reason: reasonTooOld}
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > Tolerance || age < -Tolerance {
		return &PushError{Reason: reasonTooOld}
	}
	return nil
}

func (s *signer) mac(method, path, timestamp, nonce string, body []byte) []byte {
	digest := sha256.Sum256(body)
	m := hmac.New(sha256.New, s.key)
	for _, line := range []string{method, path, timestamp, nonce, hex.EncodeToString(digest[:])} {
		m.Write([]byte(line))
		m.Write([]byte{'\n'})
	}
	return m.Sum(nil)
}

func validNonce(nonce string) bool {
	if len(nonce) < minNonce || len(nonce) > maxNonce {
		return false
	}
	for _, c := range []byte(nonce) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
