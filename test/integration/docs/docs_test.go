// Package docs runs the shell lines of docs/ against orderd, and the tests of its clients in TypeScript.
package docs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orderd-dev/orderd/test/kit/pages"
)

const docsFolder = "../../../docs"

// elsewhere are pages whose commands bring up a shop of their own: test/integration/dev and test/e2e
// run them.
var elsewhere = []string{"dev.md", "demo.md"}

// TestPages runs the shell blocks of docs/ in the sequence in which README.md lists the
// pages, all in one session.
func TestPages(t *testing.T) {
	listed := listed(t)
	w := newWorld(t)
	dir := t.TempDir()
	s, err := pages.Start(dir, map[string]string{
		"ORDERD":   w.orderd,
		"FLASH":    w.flash,
		"CARRIER":  w.carrier,
		"GATEWAY":  w.pushes,
		"TOKEN":    w.shop.Issuer.Token("alice", "buyer"),
		"BOB":      w.shop.Issuer.Token("bob", "buyer"),
		"GUEST":    w.shop.Issuer.Guest("guest-1"),
		"CHECKOUT": w.shop.Issuer.Token("shop-backend", "checkout"),
		"STAFF": w.shop.Issuer.Token("sam", "support", "fulfilment", "returns", "finance", "catalog", "marketing",
			"operations"),
		"no_proxy": "127.0.0.1",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	for _, page := range listed {
		if slices.Contains(elsewhere, page) {
			continue
		}
		blocks, err := pages.Read(filepath.Join(docsFolder, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			stdout, stderr, err := s.Run(b.Script)
			if err == nil {
				err = b.Check(stdout)
			}
			if err != nil {
				t.Fatalf("docs/%s:%d: %v\n%s\nprinted:\n%s\n%s", page, b.Line, err, b.Script, stdout, stderr)
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
	names := []string{"README.md"}
	for _, part := range strings.Split(string(raw), "](")[1:] {
		name, _, _ := strings.Cut(part, ")")
		if strings.HasSuffix(name, ".md") && !strings.Contains(name, "/") && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	all, err := filepath.Glob(filepath.Join(docsFolder, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if !slices.Contains(names, filepath.Base(path)) {
			t.Errorf("docs/README.md has no link to %s", filepath.Base(path))
		}
	}
	return names
}
