package serve

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/orderd-dev/orderd/orderd/flash/admission"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/peerauth"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
)

// idKey is the key in orders.idKeyFile. Order ids are made with it; what else is signed, is signed
// with keys derived from it.
type idKey []byte

func (p *pod) readIDKey() (idKey, error) {
	raw, err := config.ReadSecret(p.config.Orders.IDKeyFile)
	if err != nil {
		return nil, fmt.Errorf("orders.idKeyFile: %w", err)
	}
	return idKey(raw), nil
}

func (k idKey) orderIDs(clock func() time.Time) (*orderid.Generator, error) {
	ids, err := orderid.NewGenerator(k, clock, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("orders.idKeyFile: %w", err)
	}
	return ids, nil
}

// admission signs the tokens that let buyers into promotions that ask for them.
func (k idKey) admission() (*admission.Signer, error) {
	signer, err := admission.New(k)
	if err != nil {
		return nil, fmt.Errorf("orders.idKeyFile: %w", err)
	}
	return signer, nil
}

// peers proves to other pods that this one calls, and asks them for the same.
func (k idKey) peers(clock func() time.Time) (*peerauth.Key, error) {
	key, err := peerauth.New(k, clock)
	if err != nil {
		return nil, fmt.Errorf("orders.idKeyFile: %w", err)
	}
	return key, nil
}

// quotes signs quotes, which hold for ttl, and opens them again.
func (k idKey) quotes(ttl time.Duration) (*quote.Tokens, error) {
	tokens, err := quote.NewTokens(k, ttl)
	if err != nil {
		return nil, fmt.Errorf("orders: %w", err)
	}
	return tokens, nil
}
