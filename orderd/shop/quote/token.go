package quote

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const (
	// tokenInfo tells the key of quotes from others that are derived from the same.
	tokenInfo = "orderd quote token"
	// tokenVersion is a token's first byte.
	tokenVersion = 1
)

// ErrTTL says that tokens would be worthless when they are made.
var ErrTTL = errors.New("the lifetime of quotes must be positive")

// Tokens signs quotes and opens them again; safe for concurrent use.
type Tokens struct {
	key []byte
	ttl time.Duration
}

// NewTokens derives the key that signs from the OrderCluster's order id key, by HKDF-SHA256. A
// token holds for ttl.
func NewTokens(orderIDKey []byte, ttl time.Duration) (*Tokens, error) {
	if len(orderIDKey) < orderid.MinKeyBytes {
		return nil, fmt.Errorf("%w: %d bytes, want %d", orderid.ErrShortKey, len(orderIDKey), orderid.MinKeyBytes)
	}
	if ttl <= 0 {
		return nil, ErrTTL
	}
	key, err := hkdf.Key(sha256.New, orderIDKey, nil, tokenInfo, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of quotes: %w", err)
	}
	return &Tokens{key: key, ttl: ttl}, nil
}

// Promise is what a token says that its input costs.
type Promise struct {
	Total int64
	Hash  [sha256.Size]byte
}

// Holds tells whether the quote is the promised one: the same lines, prices,
// discounts, freight and total.
func (p Promise) Holds(q *Quote) bool { return p == promise(q) }

// Sign makes the token that PlaceOrder takes for the quote that in got. It is opaque, for nobody
// but the buyer, and has the quote's address and delivery method in it.
func (t *Tokens) Sign(in Input, q *Quote, now time.Time) (token string, expires time.Time, err error) {
	p := promise(q)
	expires = database.Stamp(now.Add(t.ttl))
	content := &quotev1.Token{
		BuyerId: in.BuyerID, Invoice: in.Invoice, ExpiresAt: timestamppb.New(expires), Promise: p.Hash[:], Total: p.Total,
	}
	for _, l := range in.Lines {
		content.Lines = append(content.Lines, &quotev1.SelectedLine{Sku: l.SKU, Quantity: l.Quantity})
	}
	for _, id := range in.CouponIDs {
		content.CouponIds = append(content.CouponIds, id.String())
	}
	if in.Delivery != nil {
		content.Delivery = &quotev1.Delivery{Address: q.Address, Method: q.DeliveryMethod}
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend([]byte{tokenVersion}, content)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("signing a quote: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(append(raw, t.mac(raw)...)), expires, nil
}

// Open returns what the token was signed for. A token that was not signed here or is another
// buyer's is FAILED_PRECONDITION/QUOTE_INVALID; one whose time is over
// FAILED_PRECONDITION/QUOTE_EXPIRED.
func (t *Tokens) Open(token, buyerID string, now time.Time) (Input, Promise, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < 1+sha256.Size || raw[0] != tokenVersion {
		return Input{}, Promise{}, invalidToken()
	}
	signed, mac := raw[:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	if !hmac.Equal(mac, t.mac(signed)) {
		return Input{}, Promise{}, invalidToken()
	}
	var content quotev1.Token
	if err := proto.Unmarshal(signed[1:], &content); err != nil || content.GetBuyerId() != buyerID {
		return Input{}, Promise{}, invalidToken()
	}
	if !now.Before(content.GetExpiresAt().AsTime()) {
		return Input{}, Promise{}, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonQuoteExpired,
			"the quote's time is over; ask for a new one")
	}
	return opened(&content)
}

func opened(content *quotev1.Token) (Input, Promise, error) {
	delivery, err := NewDelivery(content.GetDelivery())
	if err != nil {
		return Input{}, Promise{}, invalidToken()
	}
	coupons, err := NewCouponIDs(content.GetCouponIds())
	if err != nil || len(content.GetPromise()) != sha256.Size {
		return Input{}, Promise{}, invalidToken()
	}
	in := Input{
		BuyerID:   content.GetBuyerId(),
		Lines:     newLines(content.GetLines()),
		Delivery:  delivery,
		CouponIDs: coupons,
		Invoice:   content.GetInvoice(),
	}
	return in, Promise{Total: content.GetTotal(), Hash: [sha256.Size]byte(content.GetPromise())}, nil
}

func (t *Tokens) mac(signed []byte) []byte {
	h := hmac.New(sha256.New, t.key)
	h.Write(signed)
	return h.Sum(nil)
}

func invalidToken() error {
	return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonQuoteInvalid,
		"the token is not from a quote of this buyer's", "field", "quote_token")
}

func promise(q *Quote) Promise {
	h := sha256.New()
	writeText(h, q.Currency)
	writeNumbers(h, int64(len(q.Lines)))
	for _, l := range q.Lines {
		writeText(h, l.SKU)
		writeNumbers(h, l.Quantity, l.UnitPrice, l.Amount, l.Discount, l.Freight)
	}
	writeNumbers(h, q.Goods, q.Discount, q.Freight, q.Total)
	return Promise{Total: q.Total, Hash: [sha256.Size]byte(h.Sum(nil))}
}

// writeText writes the text behind its length, so that no two sequences of texts are the same bytes.
func writeText(h hash.Hash, text string) {
	writeNumbers(h, int64(len(text)))
	h.Write([]byte(text))
}

func writeNumbers(h hash.Hash, numbers ...int64) {
	for _, n := range numbers {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	}
}
