package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, comment  string
		want           []documented
		wantReferences []string
		wantErr        bool
	}{
		{name: "nothing", comment: " Does a thing.\n"},
		{name: "a reason of one letter", comment: "Errors: NOT_FOUND/A.", wantErr: true},
		{
			name: "codes are shared in a clause",
			comment: " Does it.\n Errors: NOT_FOUND/A_NOT_FOUND; FAILED_PRECONDITION/BB (metadata state),\n CC_D or " +
				"ABORTED/EE unless it is DONE; UNAVAILABLE/FF.\n",
			want: []documented{
				{code: "NOT_FOUND", reason: "A_NOT_FOUND"},
				{code: "FAILED_PRECONDITION", reason: "BB", carries: "metadata state", when: "unless it is DONE"},
				{code: "FAILED_PRECONDITION", reason: "CC_D", when: "unless it is DONE"},
				{code: "ABORTED", reason: "EE", when: "unless it is DONE"},
				{code: "UNAVAILABLE", reason: "FF"},
			},
		},
		{
			name:           "a reference",
			comment:        "Errors: those of QuoteService.QuoteOrder.",
			wantReferences: []string{"QuoteService/QuoteOrder"},
		},
		{
			name:    "words in parentheses",
			comment: "Errors: ABORTED/AA (too late).",
			want:    []documented{{code: "ABORTED", reason: "AA", when: "too late"}},
		},
		{name: "no code", comment: "Errors: SKU_NOT_FOUND.", wantErr: true},
		{name: "a code that there is not", comment: "Errors: NOWHERE/SKU_NOT_FOUND.", wantErr: true},
		{name: "no full stop", comment: "Errors: NOT_FOUND/SKU_NOT_FOUND", wantErr: true},
		{name: "no semicolon", comment: "Errors: NOT_FOUND/AA when it is late, or so, NOT_FOUND/BB.", wantErr: true},
		{name: "broken behind the slash", comment: "Errors: NOT_FOUND/\n AA.", wantErr: true},
		{name: "outside of the sentence", comment: "May answer NOT_FOUND/AA.", wantErr: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, references, err := parse(tt.comment)
			if tt.wantErr != (err != nil) {
				t.Fatalf("error %v, want one: %v", err, tt.wantErr)
			}
			if tt.wantErr {
				return
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(documented{})); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.wantReferences, references); diff != "" {
				t.Errorf("references (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReferences(t *testing.T) {
	quote := []documented{{code: "NOT_FOUND", reason: "AA"}, {code: "ABORTED", reason: "BB"}}
	all := []rpc{
		{name: "A/Place", errors: []documented{{code: "ABORTED", reason: "BB", when: "here"}}},
		{name: "B/Quote", errors: quote},
	}
	if err := resolve(all, map[string][]string{"A/Place": {"B/Quote"}}); err != nil {
		t.Fatal(err)
	}
	want := []documented{{code: "ABORTED", reason: "BB", when: "here"}, {code: "NOT_FOUND", reason: "AA"}}
	if diff := cmp.Diff(want, all[0].errors, cmp.AllowUnexported(documented{})); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	if err := resolve(all, map[string][]string{"A/Place": {"C/Nothing"}}); err == nil {
		t.Error("a reference to nothing was taken")
	}
}

func TestErrorsPageIsStrict(t *testing.T) {
	named := []rpc{{name: "A/B", errors: []documented{{code: "ABORTED", reason: "AA"}}}}
	if _, err := errorsPage(named, map[string]string{"AA": "It means something."}); err != nil {
		t.Error(err)
	}
	if _, err := errorsPage(named, nil); err == nil {
		t.Error("a reason without a meaning was taken")
	}
	if _, err := errorsPage(nil, map[string]string{"AA": "It means something."}); err == nil {
		t.Error("the meaning of a reason that no comment names was taken")
	}
}

func TestReadReasons(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reasons.go")
	write := func(comment string) {
		source := "package rpcerr\n\nconst (\n" + comment + "\tReasonGone = \"GONE\"\n)\n"
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("\t// ReasonGone: It was there.\n\t// It is not now.\n")
	got, err := readReasons(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"GONE": "It was there. It is not now."}, got); diff != "" {
		t.Error(diff)
	}
	for _, comment := range []string{"", "\t// It is gone.\n", "\t// ReasonOther: It is gone.\n"} {
		write(comment)
		if _, err := readReasons(path); err == nil {
			t.Errorf("the comment %q was taken", comment)
		}
	}
}

func TestDiagram(t *testing.T) {
	type state string
	type event string
	got := diagram(lifecycle.Table[state, event]{
		"": {"begin": "OPEN"}, "OPEN": {"touch": "OPEN", "shut": "DONE", "end": "DONE"},
	})
	want := `stateDiagram-v2
    [*] --> OPEN: begin
    OPEN --> DONE: end, shut
    OPEN --> OPEN: touch
    DONE --> [*]
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("diagram (-want +got):\n%s", diff)
	}
}
