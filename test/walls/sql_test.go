package walls

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// statement is how a text of SQL begins, after what opens it.
var statement = regexp.MustCompile(
	`^[\s(]*(SELECT\s|INSERT INTO\s|UPDATE\s+\S+\s+SET\s|DELETE FROM\s|WITH\s+\w+\s+AS\s|WHERE\s)`)

// Folders whose SQL is of another kind than a domain's: what keeps the schema itself.
var schemaKeepers = []string{"orderd/kit/database", "orderd/shop/schema"}

func TestSQLStandsInStoreFiles(t *testing.T) {
	read := 0
	for _, path := range goFiles(t) {
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		if !mayHaveNoSQL(filepath.ToSlash(name)) {
			continue
		}
		read++
		for _, line := range statements(t, path, nil) {
			t.Errorf("%s:%d: SQL stands in files named store*.go", name, line)
		}
	}
	if read < 100 {
		t.Errorf("%d files were read: too few to be orderd's", read)
	}
}

// mayHaveNoSQL tells whether a file is a domain's, of kit or of the operator, and no store.
func mayHaveNoSQL(name string) bool {
	folder, file := filepath.ToSlash(filepath.Dir(name)), filepath.Base(name)
	if strings.HasPrefix(file, "store") || strings.HasSuffix(file, "_test.go") {
		return false
	}
	for _, k := range schemaKeepers {
		if folder == k {
			return false
		}
	}
	return strings.HasPrefix(name, "orderd/") || strings.HasPrefix(name, "operator/")
}

// statements are the lines of a file on which a text of SQL begins.
func statements(t *testing.T, path string, source any) []int {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var lines []int
	ast.Inspect(f, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		if statement.MatchString(text) {
			lines = append(lines, set.Position(lit.Pos()).Line)
		}
		return true
	})
	return lines
}

func TestStatementsAreRecognised(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT sku FROM stock": true, "\n\t(SELECT 1)": true, "INSERT INTO a (b) VALUES (1)": true, "WHERE a = $1": true,
		"UPDATE stock SET spread = $2": true, "DELETE FROM outbox": true, "WITH found AS (SELECT 1)": true,
		"SELECTED": false, "Updates of stock": false, "with a": false, "WHEREVER": false,
	} {
		source := "package a\n\nvar b = " + strconv.Quote(text) + "\n"
		if got := len(statements(t, "a.go", source)) == 1; got != want {
			t.Errorf("%q is SQL: %v, want %v", text, got, want)
		}
	}
	for name, want := range map[string]bool{
		"orderd/shop/stock/bucket.go": true, "orderd/shop/stock/store.go": false, "orderd/shop/stock/store_topup.go": false,
		"operator/main.go": true, "orderd/shop/stock/bucket_test.go": false, "orderd/kit/database/migrate.go": false,
		"test/chaos/seed.go": false, "hack/demo/main.go": false,
	} {
		if got := mayHaveNoSQL(name); got != want {
			t.Errorf("%s may have no SQL: %v, want %v", name, got, want)
		}
	}
}
