package wholefile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteReplacesTheWholeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	for _, text := range []string{"a long text", "short"} {
		if err := Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q, %v, want %q", got, err, text)
		}
	}
	// What cannot be written leaves what was there.
	if err := os.Mkdir(path+".next", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("new")); err == nil {
		t.Error("no error although the next file cannot be made")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "short" {
		t.Errorf("%q, %v, want what was there", got, err)
	}
}
