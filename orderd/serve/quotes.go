package serve

import (
	"fmt"
	"time"

	"github.com/orderd-dev/orderd/orderd/config"
	"github.com/orderd-dev/orderd/orderd/quote"
)

// quoteTokens signs quotes and opens them again, with a key derived from the one of order ids.
func (p *pod) quoteTokens() (*quote.Tokens, error) {
	key, err := config.ReadSecret(p.Config.Orders.IDKeyFile)
	if err != nil {
		return nil, fmt.Errorf("orders.idKeyFile: %w", err)
	}
	tokens, err := quote.NewTokens([]byte(key), time.Duration(p.Config.Orders.QuoteTTL))
	if err != nil {
		return nil, fmt.Errorf("orders: %w", err)
	}
	return tokens, nil
}
