package bulk

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
)

const (
	// maxCode bounds a number or a code, in bytes.
	maxCode      = 64
	maxNoteRunes = 2000
	maxCarrier   = 32
	maxDelta     = 1_000_000_000
	// maxTagsNamed are those that a row may add, or remove.
	maxTagsNamed = 20
)

// effect makes a row's change in its transaction, and says for people what came of it.
type effect func(ctx context.Context, tx *database.Tx, d domains, by by) (string, error)

// domains are who makes the changes.
type domains struct {
	orders    *order.Store
	shipments *shipment.Store
}

// by is who makes a row's change, and why.
type by struct {
	// actor is for histories, subject is the token's.
	actor, subject string
	// ref is the row among all rows, reason the same for people.
	ref, reason string
	at          time.Time
}

// values are a row's cells by the kind's columns.
type values struct {
	columns map[string]int
	cells   []string
}

func rowInvalid(column, text string) error {
	return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonRowInvalid, text, "field", column)
}

// raw is a cell as it is; empty if there is no such column.
func (v values) raw(column string) string {
	if i, ok := v.columns[column]; ok {
		return v.cells[i]
	}
	return ""
}

// code is a cell that is a number or a code, without blanks. It may not be empty.
func (v values) code(column string) (string, error) {
	code := withoutBlanks(plain(v.raw(column)))
	switch {
	case rounded.MatchString(code):
		return "", rowInvalid(column, "the spreadsheet has rounded the number to "+code+
			"; format the column as text, and fill the number in again")
	case len(code) > maxCode:
		return "", rowInvalid(column, "longer than "+strconv.Itoa(maxCode)+" characters")
	case code == "":
		return "", rowInvalid(column, "empty")
	}
	return code, nil
}

// orderRef is an order as a row names it: by its id, or else by its number.
type orderRef struct {
	id     uuid.UUID
	number string
}

func (v values) order() (orderRef, error) {
	code, err := v.code(columnOrder)
	if err != nil {
		return orderRef{}, err
	}
	if id, err := uuid.Parse(code); err == nil {
		return orderRef{id: id}, nil
	}
	number, ok := orderid.ParseNumber(code)
	if !ok {
		return orderRef{}, rowInvalid(columnOrder, "neither an order's number nor its id; is a character mistyped?")
	}
	return orderRef{number: number}, nil
}

// find is the order's id. Errors are order.ErrNotFound and FAILED_PRECONDITION/KEY_AMBIGUOUS.
func (r orderRef) find(ctx context.Context, tx *database.Tx) (uuid.UUID, error) {
	if r.number == "" {
		return r.id, nil
	}
	return desk.FindNumber(ctx, tx, r.number)
}

// change is what staff ask of the order.
func (r orderRef) change(ctx context.Context, tx *database.Tx, by by) (order.StaffChange, error) {
	id, err := r.find(ctx, tx)
	return order.StaffChange{OrderID: id, Actor: by.actor, Reason: by.reason}, err
}

var trackingNumber = regexp.MustCompile(`^[!-~]{1,64}$`)

func planShip(v values) (effect, error) {
	ref, err := v.order()
	if err != nil {
		return nil, err
	}
	number, err := v.code(columnTracking)
	if err != nil {
		return nil, err
	}
	if !trackingNumber.MatchString(number) {
		return nil, rowInvalid(columnTracking, "a tracking number has letters, digits and signs of ASCII alone")
	}
	carrier := plain(v.raw(columnCarrier))
	if utf8.RuneCountInString(carrier) > maxCarrier {
		return nil, rowInvalid(columnCarrier, "longer than "+strconv.Itoa(maxCarrier)+" characters")
	}
	return func(ctx context.Context, tx *database.Tx, d domains, by by) (string, error) {
		id, err := ref.find(ctx, tx)
		if err != nil {
			return "", err
		}
		parcel, err := d.shipments.RecordHandedOver(ctx, tx, by.at, shipment.HandedOver{
			OrderID: id, Source: by.ref, Carrier: carrier, TrackingNumber: number, Actor: by.actor,
		})
		if err != nil {
			return "", err
		}
		return "shipment " + parcel.String(), nil
	}, nil
}

func planClose(v values) (effect, error) {
	ref, err := v.order()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, tx *database.Tx, d domains, by by) (string, error) {
		c, err := ref.change(ctx, tx, by)
		if err != nil {
			return "", err
		}
		o, err := d.orders.CloseByStaff(ctx, tx, by.at, c)
		if err != nil {
			return "", err
		}
		return "the order is " + strings.TrimPrefix(o.GetState().String(), "ORDER_STATE_"), nil
	}, nil
}

var tag = regexp.MustCompile(`^[a-z0-9]([a-z0-9_:-]{0,38}[a-z0-9])?$`)

// tags are those that a cell names.
func (v values) tags(column string) ([]string, error) {
	tags := strings.FieldsFunc(plain(v.raw(column)), func(r rune) bool {
		return r == ',' || r == ';' || trim(string(r)) == ""
	})
	slices.Sort(tags)
	tags = slices.Compact(tags)
	if len(tags) > maxTagsNamed {
		return nil, rowInvalid(column, "more than "+strconv.Itoa(maxTagsNamed)+" tags")
	}
	for _, t := range tags {
		if !tag.MatchString(t) {
			return nil, rowInvalid(column, "a tag has 1 to 40 lower case letters, digits, and - _ : between them")
		}
	}
	return tags, nil
}

func planTag(v values) (effect, error) {
	ref, err := v.order()
	if err != nil {
		return nil, err
	}
	add, err := v.tags(columnAdd)
	if err != nil {
		return nil, err
	}
	remove, err := v.tags(columnRemove)
	if err != nil {
		return nil, err
	}
	switch {
	case len(add)+len(remove) == 0:
		return nil, rowInvalid(columnAdd, "no tag to add, and none to remove")
	case slices.ContainsFunc(add, func(t string) bool { return slices.Contains(remove, t) }):
		return nil, rowInvalid(columnRemove, "a tag cannot be added and removed")
	}
	return func(ctx context.Context, tx *database.Tx, d domains, by by) (string, error) {
		c, err := ref.change(ctx, tx, by)
		if err != nil {
			return "", err
		}
		o, err := d.orders.TagByStaff(ctx, tx, by.at, c, add, remove)
		if err != nil {
			return "", err
		}
		return "tags: " + strings.Join(o.GetTags(), ", "), nil
	}, nil
}

func planNote(v values) (effect, error) {
	ref, err := v.order()
	if err != nil {
		return nil, err
	}
	text := trim(v.raw(columnText))
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return nil, rowInvalid(columnText, "empty")
	case n > maxNoteRunes:
		return nil, rowInvalid(columnText, "longer than "+strconv.Itoa(maxNoteRunes)+" characters")
	}
	return func(ctx context.Context, tx *database.Tx, d domains, by by) (string, error) {
		c, err := ref.change(ctx, tx, by)
		if err != nil {
			return "", err
		}
		note := order.Note{Text: text, Author: by.subject, At: database.Stamp(by.at)}
		_, err = d.orders.NoteByStaff(ctx, tx, by.at, c, note)
		return "", err
	}, nil
}

func planStock(v values) (effect, error) {
	sku, err := v.code(columnSKU)
	if err != nil {
		return nil, err
	}
	text, err := v.code(columnDelta)
	if err != nil {
		return nil, err
	}
	// Spreadsheets write a real minus where people typed one.
	delta, err := strconv.ParseInt(strings.TrimPrefix(strings.Replace(text, "\u2212", "-", 1), "+"), 10, 64)
	if err != nil || delta == 0 || delta < -maxDelta || delta > maxDelta {
		return nil, rowInvalid(columnDelta, "not a whole number of units, other than 0 and at most 1000000000")
	}
	return func(ctx context.Context, tx *database.Tx, _ domains, by by) (string, error) {
		levels, err := catalog.Adjust(ctx, tx, by.ref, sku, delta)
		if err != nil {
			return "", err
		}
		return "available: " + strconv.FormatInt(levels.Available, 10), nil
	}, nil
}
