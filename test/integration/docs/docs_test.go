package docs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const docsFolder = "../../../docs"

// TestPages runs the shell blocks of docs/ in the sequence in which README.md lists the
// pages, all in one session.
func TestPages(t *testing.T) {
	pages := listed(t)
	w := newWorld(t)
	dir := t.TempDir()
	s, err := startShell(dir, map[string]string{
		"ORDERD":   w.orderd,
		"FLASH":    w.flash,
		"CARRIER":  w.carrier,
		"GATEWAY":  w.pushes,
		"TOKEN":    w.shop.Issuer.Token("alice", "buyer"),
		"BOB":      w.shop.Issuer.Token("bob", "buyer"),
		"GUEST":    w.shop.Issuer.Guest("guest-1"),
		"SERVICE":  w.shop.Issuer.Token("shop-backend", "service"),
		"STAFF":    w.shop.Issuer.Token("sam", "catalog", "returns", "shipping", "marketing", "reports", "operations"),
		"no_proxy": "127.0.0.1",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	for _, page := range pages {
		blocks, err := readPage(filepath.Join(docsFolder, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			stdout, stderr, err := s.run(b.script)
			if err == nil {
				err = b.check(stdout)
			}
			if err != nil {
				t.Fatalf("docs/%s:%d: %v\n%s\nprinted:\n%s\n%s", page, b.line, err, b.script, stdout, stderr)
			}
		}
		t.Logf("docs/%s: %d blocks", page, len(blocks))
	}
}

// listed are README.md and the pages in the sequence in which it links to them. It has to
// link to all there are.
func listed(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(docsFolder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages := []string{"README.md"}
	for _, part := range strings.Split(string(raw), "](")[1:] {
		name, _, _ := strings.Cut(part, ")")
		if strings.HasSuffix(name, ".md") && !strings.Contains(name, "/") && !slices.Contains(pages, name) {
			pages = append(pages, name)
		}
	}
	all, err := filepath.Glob(filepath.Join(docsFolder, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if !slices.Contains(pages, filepath.Base(path)) {
			t.Errorf("docs/README.md has no link to %s", filepath.Base(path))
		}
	}
	return pages
}
