package walls

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// named is a file or a folder of the code, in backticks.
var named = regexp.MustCompile("`([a-z0-9_]+(?:/[a-z0-9_]+)*(?:\\.go)?)`")

// A walk that leads to a file which is not there is worse than none.
func TestTheWalksLeadToFilesThatAreThere(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, walks, found := strings.Cut(string(page), "\n## Nine walks\n")
	walks, _, ended := strings.Cut(walks, "\n## ")
	if !found || !ended {
		t.Fatal("docs/architecture.md has no walks")
	}
	files, folder := 0, ""
	for _, match := range named.FindAllStringSubmatch(walks, -1) {
		name := match[1]
		if !strings.Contains(name, "/") && !strings.HasSuffix(name, ".go") {
			continue
		}
		at := resolve(name, folder)
		if at == "" {
			t.Errorf("%s is neither in the repository, nor in orderd, nor in %s", name, folder)
			continue
		}
		if strings.HasSuffix(at, ".go") {
			files++
			at = path.Dir(at)
		}
		folder = at
	}
	if files < 20 {
		t.Errorf("the walks name %d files, want 20 and more", files)
	}
}

// resolve is where a name leads to from the folder that was named before, or nothing.
func resolve(name, folder string) string {
	for _, base := range []string{"", "orderd", folder} {
		at := path.Join(base, name)
		if _, err := os.Stat(filepath.Join(root, at)); err == nil {
			return at
		}
	}
	return ""
}

// runs is a command of CONTRIBUTING that runs something by its name: a test, a fuzz target or a benchmark.
var runs = regexp.MustCompile("`(?:go test )?\\./(\\S+) " +
	"(?:-run '(Test\\w+)\\$?'|-run '\\^\\$' -fuzz (Fuzz\\w+)|-run '\\^\\$' -bench (\\w+))")

// A command that names a test which is not there says "ok", and that it ran none.
func TestTheCommandsOfContributingNameWhatIsThere(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := runs.FindAllStringSubmatch(strings.ReplaceAll(string(page), "`go test ", "`"), -1)
	if len(found) < 3 {
		t.Errorf("CONTRIBUTING.md has %d commands that name a test, want 3 and more", len(found))
	}
	for _, match := range found {
		name := match[2] + match[3]
		if match[4] != "" {
			name = "Benchmark" + match[4]
		}
		files, err := filepath.Glob(filepath.Join(root, match[1], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		there := false
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			there = there || strings.Contains(string(source), "\nfunc "+name)
		}
		if !there {
			t.Errorf("%s has no %s", match[1], name)
		}
	}
}
