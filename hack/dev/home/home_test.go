package home

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestOneProcessHasTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	first, err := Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	impatient, cancel := context.WithTimeout(t.Context(), 2*pollEvery)
	defer cancel()
	told := 0
	if _, err := Open(impatient, dir, func() { told++ }); !errors.Is(err, ErrTaken) || told != 1 {
		t.Errorf("a second one: %v, told %d times that it waits, want %v and once", err, told, ErrTaken)
	}
	time.AfterFunc(2*pollEvery, func() { _ = first.Lock.Close() })
	second, err := Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatalf("one that waits for the first to end: %v", err)
	}
	_ = second.Lock.Close()
}

func TestAFolderOfSomebodyElsesIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	thesis := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(thesis, []byte("years"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, nil); !errors.Is(err, ErrNotOurs) {
		t.Errorf("%v, want %v", err, ErrNotOurs)
	}
	h, err := Open(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Write(elsewhereFile, dir); err != nil {
		t.Fatal(err)
	}
	if err := h.Reset(); err == nil {
		t.Error("a folder that is none of a shop's was to be deleted")
	}
	if _, err := os.Stat(thesis); err != nil {
		t.Error(err)
	}
}

func TestResetForgetsAll(t *testing.T) {
	h, err := Open(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	secret := func() string {
		t.Helper()
		path, err := h.Secret("key", Hex)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	outside, err := h.Elsewhere()
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Elsewhere()
	if err != nil || again != outside {
		t.Errorf("elsewhere is %s, then %s: %v", outside, again, err)
	}
	before := secret()
	if secret() != before {
		t.Error("a secret changed")
	}
	if err := h.Mark("seeded"); err != nil || !h.Has("seeded") {
		t.Errorf("a mark: %v", err)
	}
	if err := h.Reset(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(outside); !errors.Is(err, os.ErrNotExist) || h.Has("seeded") || secret() == before {
		t.Errorf("something is left: %v", err)
	}
}
