package stock

import (
	"context"

	"github.com/orderd-dev/orderd/orderd/kit/auth"
)

// Few is how many units of a SKU are few: that there are so many, and not more, is told to everybody.
const Few = 10

// ExactFor tells whether the caller of an RPC may know how many units there are: staff and backends
// may. A buyer is told no more than what helps with an order, because whoever reads exact stock
// again and again reads what the shop sells, and how much has to be ordered so that nobody else can.
func ExactFor(ctx context.Context) bool {
	caller, known := auth.CallerFrom(ctx)
	return known && !caller.AsBuyer()
}
