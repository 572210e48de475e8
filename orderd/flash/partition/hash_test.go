package partition_test

import (
	"testing"

	"github.com/orderd-dev/orderd/orderd/flash/partition"
)

// A running sale and gateways rely on these: they must never change. api/ts/test/route.test.ts has
// the same.
func TestForBuyer(t *testing.T) {
	for _, tt := range []struct {
		buyer     string
		of64, of7 int32
	}{{"alice", 35, 5}, {"bob", 10, 5}, {"buyer-00042", 14, 6}, {"购买者", 6, 6}} {
		if of64, of7 := partition.ForBuyer(tt.buyer, 64), partition.ForBuyer(tt.buyer, 7); of64 != tt.of64 || of7 != tt.of7 {
			t.Errorf("%s is in %d of 64 and %d of 7, want %d and %d", tt.buyer, of64, of7, tt.of64, tt.of7)
		}
	}
}
