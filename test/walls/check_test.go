package walls

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// root is the module's folder.
const root = "../.."

func TestWallsHold(t *testing.T) {
	for _, b := range broken(list(t)) {
		t.Error(b)
	}
}

// list returns the module's packages and all that they import.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags=e2e",
		"-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, stderr.String())
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// ours is a package of this module that imports others, named with spaces between, of
// it or from elsewhere.
func ours(name, imports string) pkg {
	p := pkg{ImportPath: module + "/" + name}
	for _, i := range strings.Fields(imports) {
		if top, _, _ := strings.Cut(i, "/"); slices.Contains([]string{"api", "operator", "orderd", "test"}, top) {
			i = module + "/" + i
		}
		p.Imports = append(p.Imports, i)
	}
	return p
}

// A wall that nobody has run into may be painted on.
func TestWallsAreFelt(t *testing.T) {
	tests := []struct {
		name, from, imports string
		want                int
	}{
		{"kit knows kit and the API", "orderd/kit/audit", "orderd/kit/auth api/gen/x fmt", 0},
		{"kit knows nobody above it", "orderd/kit/auth", "orderd/shop/order", 1},
		{"kit does not know flash", "orderd/kit/auth", "orderd/flash/clock", 1},
		{"flash does not know the shop", "orderd/flash/pod", "orderd/shop/order", 1},
		{"flash does not use a database of kit", "orderd/flash/pod", "orderd/kit/outbox", 1},
		{"flash uses the rest of kit", "orderd/flash/pod", "orderd/kit/money orderd/kit/outboxes", 0},
		{"flash does not import pgx", "orderd/flash/pod", "github.com/jackc/pgx/v5", 1},
		{"flash does not reach database/sql", "orderd/flash/pod", "through", 1},
		{"the shop has a database", "orderd/shop/order", "orderd/kit/database github.com/jackc/pgx/v5", 0},
		{"the shop finds flash orders", "orderd/shop/order", "orderd/flash/client", 0},
		{"the shop does not know a flash pod", "orderd/shop/order", "orderd/flash/pod", 1},
		{"a sale knows both", "orderd/sale", "orderd/flash/prepare orderd/shop/stock", 0},
		{"a sale is not served", "orderd/sale", "orderd/serve", 2},
		{"what is simulated stands outside", "orderd/sim/psp", "orderd/shop/payment", 1},
		{"the operator uses sale", "operator/promotionevent", "orderd/sale operator/specs", 0},
		{"the operator does not serve", "operator/run", "orderd/serve", 2},
		{"nothing imports the operator", "hack/demo", "operator/specs", 1},
		{"nothing of orderd imports the operator", "orderd/shop/order", "operator/specs", 2},
		{"main serves", "orderd", "orderd/serve orderd/kit/config", 0},
		{"tests serve and run the operator", "test/chaos", "orderd/serve operator/run test/kit/db", 0},
		{"what is built does not import test", "hack/demo", "test/kit/db", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := broken([]pkg{
				ours(test.from, test.imports), {ImportPath: "through", Imports: []string{"two"}},
				{ImportPath: "two", Imports: []string{"database/sql"}},
			})
			if len(got) != test.want {
				t.Errorf("%d walls are broken, want %d: %s", len(got), test.want, strings.Join(got, "\n"))
			}
		})
	}
}

func TestTestsMayImportTestButNotTheOperator(t *testing.T) {
	p := ours("orderd/shop/order", "")
	p.TestImports, p.XTestImports = []string{module + "/test/kit/db"}, []string{module + "/orderd/serve"}
	if got := broken([]pkg{p}); got != nil {
		t.Error(got)
	}
	p.XTestImports = []string{module + "/operator/run"}
	if got := broken([]pkg{p}); len(got) != 1 {
		t.Errorf("%d walls are broken, want 1: %q", len(got), got)
	}
}

func TestOrderdHasTheseRooms(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join(root, "orderd"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if e.IsDir() {
			got = append(got, e.Name())
		}
	}
	if diff := cmp.Diff(folders, got); diff != "" {
		t.Errorf("folders of orderd/ (-want +got):\n%s", diff)
	}
}

// Every file is read, whatever its build tags, also because the go command takes a test's earlier
// result for the present one unless a file has changed that the test has read.
func TestEveryPackageHasAComment(t *testing.T) {
	// A folder's files of one package, and whether one has a comment. Where there is more than
	// tests, it is not theirs.
	type found struct{ built, comment, testComment bool }
	folders := map[string]*found{}
	for _, path := range goFiles(t) {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Dir(path)
		if folders[folder] == nil {
			folders[folder] = &found{}
		}
		has := f.Doc.Text() != ""
		if strings.HasSuffix(path, "_test.go") {
			folders[folder].testComment = folders[folder].testComment || has
		} else {
			folders[folder].built = true
			folders[folder].comment = folders[folder].comment || has
		}
	}
	for folder, f := range folders {
		if f.built && !f.comment || !f.built && !f.testComment {
			t.Errorf("%s has no package comment", strings.TrimPrefix(folder, root+"/"))
		}
	}
}

// goFiles are the Go files of this repository that are written by hand.
func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root+"/")
		if d.IsDir() && slices.Contains([]string{".git", "bin", "api/gen", "api/ts"}, name) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(name, ".go") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
