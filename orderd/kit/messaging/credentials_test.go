package messaging_test

import (
	"errors"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/orderd-dev/orderd/orderd/kit/messaging"
)

func TestCredentials(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	accountSeed, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, text string
		good       bool
	}{
		{"a user's seed", string(seed) + "\n", true},
		{"a .creds file", "-----BEGIN NATS USER JWT-----\nabc.def.ghi\n------END NATS USER JWT------\n\n" +
			"-----BEGIN USER NKEY SEED-----\n" + string(seed) + "\n------END USER NKEY SEED------\n", true},
		{"an account's seed", string(accountSeed), false},
		{"a password", "secret", false},
		{"nothing", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := messaging.Credentials([]byte(test.text))
			if got := err == nil; got != test.good || !got && !errors.Is(err, messaging.ErrNoCredentials) {
				t.Errorf("%v, want good: %t", err, test.good)
			}
		})
	}
}
