package schema

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// sum has a line for each file that has landed, in their order: the SHA-256 of its
// bytes, then its name.
//
//go:embed schema.sum
var sum string

// What the test asks for.
const (
	putBack  = "put it back as it was; what has to change is changed by a new file"
	renumber = "that one has landed, so give the new one a higher number"
	enter    = "add this line at the end of schema.sum:"
)

func TestFilesThatHaveLandedStayAsTheyAre(t *testing.T) {
	if err := compare(files, sum); err != nil {
		t.Fatal(err)
	}
}

// compare compares the files with the list of those that have landed, and says what to do
// about each that differs.
func compare(files fs.FS, sum string) error {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return err
	}
	hashes := map[string]string{}
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		hash := sha256.Sum256(raw)
		hashes[name] = hex.EncodeToString(hash[:])
	}
	var wrong []error
	last := ""
	for line := range strings.Lines(sum) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		have, ok := hashes[name]
		switch {
		case !ok:
			wrong = append(wrong, fmt.Errorf("%s has landed and is not there: %s", name, putBack))
		case have != want:
			wrong = append(wrong, fmt.Errorf("%s has landed and was edited: %s", name, putBack))
		}
		delete(hashes, name)
		last = max(last, name)
	}
	for _, name := range slices.Sorted(maps.Keys(hashes)) {
		if number(name) <= number(last) {
			wrong = append(wrong, fmt.Errorf("%s is new and does not come after %s: %s", name, last, renumber))
			continue
		}
		wrong = append(wrong, fmt.Errorf("%s is new: %s\n%s  %s", name, enter, hashes[name], name))
	}
	return errors.Join(wrong...)
}

// number of a migration, as long as every other.
func number(name string) string {
	n, _, _ := strings.Cut(name, "_")
	return n
}

func TestCompareSaysWhatToDo(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	line := func(text, name string) string {
		hash := sha256.Sum256([]byte(text))
		return hex.EncodeToString(hash[:]) + "  " + name + "\n"
	}
	landed := line("a", "00001_a.sql") + line("b", "00010_b.sql")
	for name, tt := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"as they were": {fstest.MapFS{"00001_a.sql": file("a"), "00010_b.sql": file("b")}, ""},
		"edited": {
			fstest.MapFS{"00001_a.sql": file("A"), "00010_b.sql": file("b")},
			"00001_a.sql has landed and was edited: " + putBack,
		},
		"removed": {
			fstest.MapFS{"00010_b.sql": file("b")},
			"00001_a.sql has landed and is not there: " + putBack,
		},
		"added": {
			fstest.MapFS{"00001_a.sql": file("a"), "00010_b.sql": file("b"), "00011_c.sql": file("c")},
			"00011_c.sql is new: " + enter + "\n" + strings.TrimSpace(line("c", "00011_c.sql")),
		},
		"added before others": {
			fstest.MapFS{"00001_a.sql": file("a"), "00010_b.sql": file("b"), "00002_c.sql": file("c")},
			"00002_c.sql is new and does not come after 00010_b.sql: " + renumber,
		},
		"added with another's number": {
			fstest.MapFS{"00001_a.sql": file("a"), "00010_b.sql": file("b"), "00010_c.sql": file("c")},
			"00010_c.sql is new and does not come after 00010_b.sql: " + renumber,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := compare(tt.files, landed); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
