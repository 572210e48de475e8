package push

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	secretPrefix = "whsec_"
	// minSecretBytes and maxSecretBytes are the specification's; a secret of 64 bytes is
	// HMAC-SHA256's block.
	minSecretBytes = 24
	maxSecretBytes = 64
	// maxSecrets is one that is in use, the one before and the one after.
	maxSecrets = 3
)

// ParseSecrets takes the content of a secret's file: keys as whsec_ and base64, divided by white
// space. While keys are changed there are several, and all of them sign.
func ParseSecrets(text string) ([]string, error) {
	secrets := strings.Fields(text)
	if len(secrets) == 0 || len(secrets) > maxSecrets {
		return nil, fmt.Errorf("%d signing keys: there must be 1 to %d", len(secrets), maxSecrets)
	}
	for i, s := range secrets {
		encoded, ok := strings.CutPrefix(s, secretPrefix)
		if !ok {
			return nil, fmt.Errorf("signing key %d does not begin with %s", i+1, secretPrefix)
		}
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			// The decoder's error holds a part of the key.
			return nil, fmt.Errorf("signing key %d is not base64", i+1)
		}
		if len(key) < minSecretBytes || len(key) > maxSecretBytes {
			return nil, fmt.Errorf("signing key %d has %d bytes, must have %d to %d", i+1, len(key), minSecretBytes,
				maxSecretBytes)
		}
	}
	return secrets, nil
}

// signer signs requests by the Standard Webhooks scheme.
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
type signer []*standardwebhooks.Webhook

func newSigner(secrets []string) (signer, error) {
	if _, err := ParseSecrets(strings.Join(secrets, " ")); err != nil {
		return nil, err
	}
	s := make(signer, len(secrets))
	for i, secret := range secrets {
		wh, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return nil, errors.New("a signing key cannot be read")
		}
		s[i] = wh
	}
	return s, nil
}

// sign sets the headers: the id, which is the same at each attempt, the attempt's time, and a
// signature by each key.
func (s signer) sign(header http.Header, id string, at time.Time, body []byte) error {
	signatures := make([]string, len(s))
	for i, wh := range s {
		var err error
		if signatures[i], err = wh.Sign(id, at, body); err != nil {
			return fmt.Errorf("signing: %w", err)
		}
	}
	header.Set(standardwebhooks.HeaderWebhookID, id)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}

// webhookID is the event's id without full stops, which divide what is signed and so must not be in
// it.
func webhookID(eventID string) string { return strings.ReplaceAll(eventID, ".", "_") }
