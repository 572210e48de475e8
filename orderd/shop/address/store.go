package address

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// columns of an address without its key, in the order of scan.
const columns = "a.recipient, a.phone, a.country, a.region, a.city, a.district, a.street, a.postal_code"

func scan(a *addressv1.Address) []any {
	return []any{&a.Recipient, &a.Phone, &a.Country, &a.Region, &a.City, &a.District, &a.Street, &a.PostalCode}
}

// Find returns those of the addresses that there are. Without keys nothing is asked.
func Find(ctx context.Context, q database.Querier, keys []Key) (map[Key]*addressv1.Address, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	buyers, ids := make([]string, len(keys)), make([]uuid.UUID, len(keys))
	for i, k := range keys {
		buyers[i], ids[i] = k.BuyerID, k.ID
	}
	rows, err := q.Query(ctx, `SELECT a.buyer_id, a.address_id, `+columns+`
		FROM addresses AS a JOIN unnest($1::text[], $2::uuid[]) AS k (buyer_id, address_id) ON a.buyer_id = k.buyer_id AND a.address_id = k.address_id`,
		buyers, ids)
	if err != nil {
		return nil, fmt.Errorf("reading addresses: %w", err)
	}
	defer rows.Close()
	out := make(map[Key]*addressv1.Address, len(keys))
	for rows.Next() {
		var k Key
		a := &addressv1.Address{}
		if err := rows.Scan(append([]any{&k.BuyerID, &k.ID}, scan(a)...)...); err != nil {
			return nil, fmt.Errorf("reading addresses: %w", err)
		}
		out[k] = a
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading addresses: %w", err)
	}
	return out, nil
}

// lockBook makes everybody else who changes the buyer's addresses wait, also while there are none.
func lockBook(ctx context.Context, tx pgx.Tx, buyerID string, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO address_books (buyer_id, updated_at) VALUES ($1, $2)
		ON CONFLICT (buyer_id) DO UPDATE SET updated_at = excluded.updated_at`, buyerID, now)
	if err != nil {
		return fmt.Errorf("locking a buyer's addresses: %w", err)
	}
	return nil
}

// list reads a buyer's addresses, the default first, then by age.
func list(ctx context.Context, q database.Querier, buyerID string) ([]saved, error) {
	rows, err := q.Query(ctx, "SELECT a.address_id, a.is_default, a.created_at, "+columns+
		" FROM addresses AS a WHERE a.buyer_id = $1 ORDER BY a.is_default DESC, a.created_at, a.address_id LIMIT $2", buyerID, maxAddresses)
	if err != nil {
		return nil, fmt.Errorf("reading a buyer's addresses: %w", err)
	}
	book, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (saved, error) {
		s := saved{address: &addressv1.Address{}}
		err := row.Scan(append([]any{&s.id, &s.isDefault, &s.createdAt}, scan(s.address)...)...)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading a buyer's addresses: %w", err)
	}
	return book, nil
}

func queueSave(b *pgx.Batch, buyerID string, s saved) {
	if s.isDefault {
		b.Queue("UPDATE addresses SET is_default = false WHERE buyer_id = $1 AND is_default AND address_id <> $2", buyerID,
			s.id)
	}
	a := s.address
	b.Queue(
		`INSERT INTO addresses (buyer_id, address_id, recipient, phone, country, region, city, district, street, postal_code, is_default, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (buyer_id, address_id) DO UPDATE SET recipient = excluded.recipient, phone = excluded.phone, country = excluded.country,
			region = excluded.region, city = excluded.city, district = excluded.district, street = excluded.street,
			postal_code = excluded.postal_code, is_default = excluded.is_default`,
		buyerID,
		s.id,
		a.GetRecipient(),
		a.GetPhone(),
		a.GetCountry(),
		a.GetRegion(),
		a.GetCity(),
		a.GetDistrict(),
		a.GetStreet(),
		a.GetPostalCode(),
		s.isDefault,
		s.createdAt,
	)
}

// queueRemove deletes an address of a book that is locked.
func queueRemove(b *pgx.Batch, buyerID string, id uuid.UUID) {
	b.Queue("DELETE FROM addresses WHERE buyer_id = $1 AND address_id = $2", buyerID, id)
	b.Queue(`UPDATE addresses SET is_default = true
		WHERE buyer_id = $1 AND address_id = (SELECT address_id FROM addresses WHERE buyer_id = $1 ORDER BY is_default DESC, created_at, address_id LIMIT 1)`, buyerID)
}
