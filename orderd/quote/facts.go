package quote

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/catalog"
)

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Facts are what quotes are computed from, as they were when they were read.
type Facts struct {
	skus map[string]catalog.SKU
}

// Load reads the facts for any number of inputs, with one query a kind of fact. It takes no locks.
func Load(ctx context.Context, q Querier, inputs []Input) (*Facts, error) {
	f := &Facts{}
	var codes []string
	for _, in := range inputs {
		for _, l := range in.Lines {
			codes = append(codes, l.SKU)
		}
	}
	slices.Sort(codes)
	codes = slices.Compact(codes)
	var err error
	if f.skus, err = catalog.Find(ctx, q, codes); err != nil {
		return nil, err
	}
	return f, nil
}
