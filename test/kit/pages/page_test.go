package pages

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	text := "# A page\n\n```sh\necho 1\n```\n\nSays:\n\n```json\n{\"a\": 1}\n```\n\n" +
		"```sh\ntrue\n```\n\n```mermaid\nx\n```\n\n```json\n{}\n```\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []Block{
		{page: path, Line: 3, Script: "echo 1\n", want: map[string]any{"a": 1.0}, wantLine: 9},
		{page: path, Line: 13, Script: "true\n"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Block{})); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
	if _, err := fencesOf("```sh\nx\n"); err == nil {
		t.Error("a fence that does not end was taken")
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name, want, printed string
		wantErr             bool
	}{
		{name: "text", printed: "hello"},
		{name: "an answer", printed: `{"a":1}`},
		{name: "an error", printed: `{"code":"not_found"}`, wantErr: true},
		{name: "an error before an answer", printed: `{"code":"not_found"}{"a":1}`, want: `{"a":1}`, wantErr: true},
		{name: "a wanted error", printed: `{"a":1}{"code":"not_found"}`, want: `{"code":"not_found"}`},
		{name: "something else", printed: `{"code":"not_found"}`, want: `{"code":"aborted"}`, wantErr: true},
		{name: "more than is wanted", printed: `{"a":{"b":"c","d":"e"}}`, want: `{"a":{"b":"c"}}`},
		{name: "less than is wanted", printed: `{"a":{}}`, want: `{"a":{"b":"…"}}`, wantErr: true},
		{name: "any text", printed: `{"a":"http://host/x?y"}`, want: `{"a":"http://…/x…"}`},
		{name: "a longer list", printed: `{"a":[1,2]}`, want: `{"a":[1]}`, wantErr: true},
		{name: "a longer list that may be", printed: `{"a":[1,2]}`, want: `{"a":[1,"…"]}`},
		{name: "a shorter list", printed: `{"a":[1]}`, want: `{"a":[1,2,"…"]}`, wantErr: true},
		{name: "nothing", want: `{}`, wantErr: true},
		{name: "no JSON", printed: "hello", want: `{}`, wantErr: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := Block{}
			if tt.want != "" {
				if err := json.Unmarshal([]byte(tt.want), &b.want); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Check([]byte(tt.printed)); tt.wantErr != (err != nil) {
				t.Errorf("error %v, want one: %v", err, tt.wantErr)
			}
		})
	}
}

func TestShellKeepsVariables(t *testing.T) {
	s, err := Start(t.TempDir(), map[string]string{"GIVEN": "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if _, _, err := s.Run("A=$GIVEN\nf() { echo \"$A-$1\"; }\n"); err != nil {
		t.Fatal(err)
	}
	out, _, err := s.Run("f y\ncat <<EOF\n$A\nEOF\n")
	if err != nil || string(out) != "x-y\nx\n" {
		t.Errorf("printed %q, %v", out, err)
	}
	if _, _, err := s.Run("false"); err == nil {
		t.Error("a block that fails was taken")
	}
}
