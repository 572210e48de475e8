package version

import (
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
)

func TestOfBuild(t *testing.T) {
	setting := func(key, value string) debug.BuildSetting { return debug.BuildSetting{Key: key, Value: value} }
	revision := setting("vcs.revision", "4d69daac632e0626d7d56f4fb45aa9cfc320112d")
	committed, changed := setting("vcs.modified", "false"), setting("vcs.modified", "true")
	tests := map[string]struct {
		settings []debug.BuildSetting
		want     string
	}{
		"without git":         {nil, "0.0.0-devel"},
		"what is committed":   {[]debug.BuildSetting{revision, committed}, "0.0.0-devel-g4d69daa"},
		"with changes":        {[]debug.BuildSetting{changed, revision}, "0.0.0-devel-g4d69daa-dirty"},
		"of another VCS":      {[]debug.BuildSetting{setting("vcs.revision", "380")}, "0.0.0-devel"},
		"with other settings": {[]debug.BuildSetting{setting("CGO_ENABLED", "0")}, "0.0.0-devel"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := ofBuild(test.settings)
			if got != test.want {
				t.Errorf("ofBuild says %q, want %q", got, test.want)
			}
			if !semVer.MatchString(got) {
				t.Errorf("%q is not a SemVer", got)
			}
		})
	}
}

// The linker says nothing about a variable that is not there, so this builds a program to see.
func TestTheLinkerSetsTheVersion(t *testing.T) {
	t.Setenv("CGO_ENABLED", "0")
	want := script(t, repository, "version")
	if got := run(t, ".", "go", "run", "-ldflags", script(t, repository, "ldflags"), "./testdata/program"); got != want {
		t.Errorf("a program that is built as make builds them says %q, want %q", got, want)
	}
	if got := run(t, ".", "go", "run", "-buildvcs=false", "./testdata/program"); got != unreleased {
		t.Errorf("a program of plain go run says %q, want %q", got, unreleased)
	}
}

// run runs a program in a folder and returns what it prints.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}
