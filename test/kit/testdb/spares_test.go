package testdb

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

// describeSQL stands in for SHOW CREATE ALL TABLES, which only CockroachDB has.
const describeSQL = `SELECT table_name::text || '.' || column_name::text || ' ' || data_type::text
	FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1`

func TestASpareIsAsItWasBefore(t *testing.T) {
	base, err := server()
	if err != nil {
		t.Fatal(err)
	}
	s := &spares{describe: describeSQL}
	use := func(statements ...string) (name string) {
		t.Run("a test", func(t *testing.T) {
			conn, err := pgx.Connect(t.Context(), s.database(t, base))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close(context.Background()) })
			// The order id key is all there is.
			const rows = `SELECT (SELECT count(*) FROM settings) - 1 + (SELECT count(*) FROM skus)`
			var n int
			if err := conn.QueryRow(t.Context(), rows).Scan(&n); err != nil || n != 0 {
				t.Errorf("%d rows are left, %v", n, err)
			}
			for _, statement := range statements {
				if _, err := conn.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			name = conn.Config().Database
		})
		return name
	}
	first := use("INSERT INTO settings (key, value) VALUES ('a', 'b')",
		"INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at) VALUES ('a', 'A', 1, 'CNY', true, now())",
		"CREATE TABLE wishes (a text PRIMARY KEY)")
	if second := use("CREATE TABLE wishes (a text PRIMARY KEY)"); second != first {
		t.Errorf("the second test uses %s, the first used %s", second, first)
	}
	if third := use("ALTER TABLE orders ADD COLUMN odd text"); third != first {
		t.Errorf("the third test uses %s, the first used %s", third, first)
	}
	fourth := use()
	if fourth == first {
		t.Error("a database whose tables were changed is used again")
	}
	for d := s.pop(); d != nil; d = s.pop() {
		if err := drop(base, d.name); err != nil {
			t.Error(err)
		}
	}
}
