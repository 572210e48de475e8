package messaging

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// ErrNoCredentials says that a text is neither a NATS .creds file nor the seed of a user's nkey.
var ErrNoCredentials = errors.New("is neither a NATS .creds file nor the seed of a user's nkey (SU…)")

// userJWT begins the token in a .creds file.
const userJWT = "NATS USER JWT"

// fileCredentials reads the file again for each connection, so that a renewed one counts. A file of the
// one kind must not become one of the other.
func fileCredentials(path string) (nats.Option, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("messaging.credentialsFile: %w", err)
	}
	if _, err := Credentials(raw); err != nil {
		return nil, fmt.Errorf("messaging.credentialsFile: %s %w", path, err)
	}
	if bytes.Contains(raw, []byte(userJWT)) {
		return nats.UserCredentials(path), nil
	}
	option, err := nats.NkeyOptionFromSeed(path)
	if err != nil {
		return nil, fmt.Errorf("messaging.credentialsFile: %w", err)
	}
	return option, nil
}

// Credentials are what raw says: a .creds file, with a user's JWT and seed, as nsc writes it, or the
// seed of a user's nkey alone, for servers whose configuration names the users. [ErrNoCredentials]: it
// is none of both.
func Credentials(raw []byte) (nats.Option, error) {
	key, err := nkeys.ParseDecoratedUserNKey(raw)
	if err != nil {
		return nil, ErrNoCredentials
	}
	if bytes.Contains(raw, []byte(userJWT)) {
		if _, err := nkeys.ParseDecoratedJWT(raw); err != nil {
			return nil, ErrNoCredentials
		}
		return nats.UserCredentialBytes(raw), nil
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, ErrNoCredentials
	}
	return nats.Nkey(public, key.Sign), nil
}
