package partition_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
)

// Whatever bytes a log holds, folding them ends in a state whose invariant holds or in an error.
func FuzzFold(f *testing.F) {
	seed := func(records ...*flashv1.Record) {
		var raw [2][]byte
		for i, record := range records {
			data, err := proto.Marshal(record)
			if err != nil {
				f.Fatal(err)
			}
			raw[i] = data
		}
		f.Add(raw[0], raw[1])
	}
	seed(opened(quantity("a", 3)), reserved(reservation(1, "r", partition.RequestItem{SKU: "a", Quantity: 2})))
	seed(opened(quantity("a", -3)), released(1))
	seed(opened(quantity("a", 3)), transferredOut("a", -2))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		state := partition.New()
		for i, raw := range [][]byte{first, second} {
			var record flashv1.Record
			if proto.Unmarshal(raw, &record) != nil {
				return
			}
			if state.Fold(uint64(i+1), &record) != nil {
				return
			}
		}
		if err := state.Check(); err != nil {
			t.Fatal(err)
		}
	})
}
