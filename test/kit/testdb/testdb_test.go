package testdb_test

import (
	"context"
	"testing"

	"github.com/orderd-dev/orderd/test/kit/testdb"
)

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	ctx := context.Background()
	a, b := testdb.NewPool(t), testdb.NewPool(t)
	if _, err := a.Exec(ctx, "INSERT INTO settings (key, value) VALUES ('only', 'here')"); err != nil {
		t.Fatal(err)
	}
	var inA, inB int
	const count = "SELECT count(*) FROM settings WHERE key = 'only'"
	if err := a.QueryRow(ctx, count).Scan(&inA); err != nil {
		t.Fatal(err)
	}
	if err := b.QueryRow(ctx, count).Scan(&inB); err != nil {
		t.Fatal(err)
	}
	if inA != 1 || inB != 0 {
		t.Errorf("rows: %d in the one, %d in the other; want 1 and 0", inA, inB)
	}
}
