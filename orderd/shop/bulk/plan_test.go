package bulk

import (
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func TestRowsThatSayWhatCannotBe(t *testing.T) {
	const id = "018f2c2e-7c43-8000-8000-000000000001"
	number := strings.ToLower(orderid.Number(uuid.MustParse(id)))
	for _, tt := range []struct {
		name, kind string
		header     []string
		cells      []string
		// field is the column that is wrong; empty if none is.
		field string
	}{
		{"a parcel", "SHIP", []string{"order", "tracking_number", "carrier"}, []string{id, "1Z 999 AA1", " DHL "}, ""},
		{"by its number", "SHIP", []string{"number", "tracking"}, []string{"'" + number, "1"}, ""},
		{"by a mistyped number", "SHIP", []string{"number", "tracking"}, []string{number[1:] + "7", "1"}, "order"},
		{"no order", "CLOSE", []string{"order"}, []string{" "}, "order"},
		{"no number", "CLOSE", []string{"order"}, []string{"12"}, "order"},
		{"a rounded order", "CLOSE", []string{"order"}, []string{"2.6113E+16"}, "order"},
		{"a rounded parcel", "SHIP", []string{"order", "tracking_number"}, []string{id, "1,23E+12"}, "tracking_number"},
		{"a rounded parcel without point", "SHIP", []string{"order", "tracking"}, []string{id, "1E+12"}, "tracking_number"},
		{"a parcel like a power", "SHIP", []string{"order", "tracking_number"}, []string{id, "1E12"}, ""},
		{"no parcel", "SHIP", []string{"order", "tracking_number"}, []string{id, `=""`}, "tracking_number"},
		{"a parcel in words", "SHIP", []string{"order", "tracking_number"}, []string{id, "发货"}, "tracking_number"},
		{"a long parcel", "SHIP", []string{"order", "tracking"}, []string{id, strings.Repeat("1", 65)}, "tracking_number"},
		{"a parcel of 64", "SHIP", []string{"order", "tracking_number"}, []string{id, strings.Repeat("1", 64)}, ""},
		{
			"a long carrier", "SHIP", []string{"order", "tracking_number", "carrier"},
			[]string{id, "1", strings.Repeat("运", 33)}, "carrier",
		},
		{"tags", "TAG", []string{"order", "add", "remove"}, []string{id, "gift, vip;a b", "old"}, ""},
		{"only fewer", "TAG", []string{"order", "remove"}, []string{id, "old"}, ""},
		{"no tags", "TAG", []string{"order", "add", "remove"}, []string{id, " ,", ""}, "add"},
		{"a tag that is none", "TAG", []string{"order", "add"}, []string{id, "Gift"}, "add"},
		{"a tag to take off that is none", "TAG", []string{"order", "add", "remove"}, []string{id, "a", "B"}, "remove"},
		{"one in both", "TAG", []string{"order", "add", "remove"}, []string{id, "a b", "b"}, "remove"},
		{"many tags", "TAG", []string{"order", "add"}, []string{id, "a b c d e f g h i j k l m n o p q r s t u"}, "add"},
		{"a note", "NOTE", []string{"order", "text"}, []string{id, strings.Repeat("注", 2000)}, ""},
		{"a long note", "NOTE", []string{"order", "text"}, []string{id, strings.Repeat("a", 2001)}, "text"},
		{"no note", "NOTE", []string{"order", "note"}, []string{id, "\u00a0"}, "text"},
		{"stock", "STOCK", []string{"sku", "delta"}, []string{"tea-1", "+5"}, ""},
		{"less stock", "STOCK", []string{"sku", "delta"}, []string{"tea-1", "\u22125"}, ""},
		{"a thousand with a blank", "STOCK", []string{"sku", "delta"}, []string{"tea-1", "1\u00a0000"}, ""},
		{"no SKU", "STOCK", []string{"sku", "delta"}, []string{"", "5"}, "sku"},
		{"no change", "STOCK", []string{"sku", "delta"}, []string{"tea-1", "0"}, "delta"},
		{"half a unit", "STOCK", []string{"sku", "delta"}, []string{"tea-1", "0.5"}, "delta"},
		{"too many", "STOCK", []string{"sku", "delta"}, []string{"tea-1", "1000000001"}, "delta"},
		{"a rounded number", "STOCK", []string{"sku", "delta"}, []string{"tea-1", "1E+5"}, "delta"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := kindNamed(tt.kind)
			columns, err := k.columns(tt.header)
			if err != nil {
				t.Fatal(err)
			}
			_, err = k.plan(values{columns: columns, cells: tt.cells})
			if tt.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if rpcerr.Reason(err) != "ROW_INVALID" || connect.CodeOf(err) != connect.CodeInvalidArgument ||
				rpcerr.Metadata(err)["field"] != tt.field {
				t.Errorf("%v, %v; want field %s", err, rpcerr.Metadata(err), tt.field)
			}
		})
	}
}
