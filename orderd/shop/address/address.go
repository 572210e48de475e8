// Package address keeps buyers' delivery addresses. Quotes and orders have copies of their own.
package address

import (
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// maxAddresses is how many a buyer may have; lists are not paged.
const maxAddresses = 50

// Key names a buyer's address. Another buyer's id finds nothing.
type Key struct {
	BuyerID string
	ID      uuid.UUID
}

// saved is an address in its buyer's book.
type saved struct {
	id        uuid.UUID
	address   *addressv1.Address
	isDefault bool
	createdAt time.Time
}

func (s saved) proto() *addressv1.SavedAddress {
	return &addressv1.SavedAddress{
		AddressId: s.id.String(), Address: s.address, IsDefault: s.isDefault, CreatedAt: timestamppb.New(s.createdAt),
	}
}

// put is the book's address after in was written to it as id, which is new if isNew. A book always
// has one default: the first address is it, and an address stays it until another becomes it.
func put(
	book []saved, id uuid.UUID, isNew bool, in *addressv1.Address, makeDefault bool, now time.Time,
) (saved, error) {
	for _, have := range book {
		if have.id == id {
			return saved{id: id, address: in, isDefault: have.isDefault || makeDefault, createdAt: have.createdAt}, nil
		}
	}
	switch {
	case !isNew:
		return saved{}, NotFound(id)
	case len(book) >= maxAddresses:
		return saved{}, rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyAddresses,
			"the buyer has as many addresses as there may be")
	}
	return saved{id: id, address: in, isDefault: len(book) == 0 || makeDefault, createdAt: now}, nil
}

// NotFound is the error for an address that the buyer does not have.
func NotFound(id uuid.UUID) error {
	return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonAddressNotFound, "the buyer has no such address", "address_id",
		id.String())
}
