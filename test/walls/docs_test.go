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
	_, walks, found := strings.Cut(string(page), "\n## Seven walks\n")
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
