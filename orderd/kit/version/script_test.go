package version

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// repository is this one's folder.
const repository = "../../.."

// semVer is a SemVer without build metadata: image tags and Kubernetes' labels have no plus sign.
var semVer = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(-(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?$`)

func script(t *testing.T, root string, args ...string) string {
	t.Helper()
	return run(t, root, "hack/version.sh", args...)
}

// work is a small repository with the script and what it reads.
func work(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for key, value := range map[string]string{
		"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
		"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_AUTHOR_DATE": "2026-11-28T01:00:00+08:00",
		"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com", "GIT_COMMITTER_DATE": "2026-11-28T01:00:00+08:00",
	} {
		t.Setenv(key, value)
	}
	for _, file := range []string{"hack/version.sh", "hack/VERSION", ".gitattributes"} {
		raw, err := os.ReadFile(filepath.Join(repository, file))
		if err != nil {
			t.Fatal(err)
		}
		put(t, root, file, string(raw))
	}
	put(t, root, "charts/orderd/Chart.yaml", "apiVersion: v2\nappVersion: 0.3.0\n")
	run(t, root, "git", "init", "-q", "-b", "main")
	commit(t, root)
	return root
}

func put(t *testing.T, root, file, content string) {
	t.Helper()
	path := filepath.Join(root, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
}

// commit commits everything and returns the short hash as the version has it.
func commit(t *testing.T, root string) string {
	t.Helper()
	run(t, root, "git", "add", "-A")
	run(t, root, "git", "commit", "-q", "--allow-empty", "-m", "a change")
	return "g" + run(t, root, "git", "rev-parse", "--short=7", "HEAD")
}

func wantVersion(t *testing.T, root, want string) {
	t.Helper()
	got := script(t, root)
	if got != want {
		t.Errorf("the version is %q, want %q", got, want)
	}
	if !semVer.MatchString(got) {
		t.Errorf("%q is not a SemVer", got)
	}
}

func TestVersionWithoutATag(t *testing.T) {
	root := work(t)
	hash := commit(t, root)
	wantVersion(t, root, "0.3.0-2-"+hash)
	put(t, root, "not-added", "")
	wantVersion(t, root, "0.3.0-2-"+hash)
	put(t, root, "charts/orderd/Chart.yaml", "appVersion: \"0.4.0\"\n")
	wantVersion(t, root, "0.4.0-2-"+hash+"-dirty")
}

func TestVersionWithTags(t *testing.T) {
	root := work(t)
	run(t, root, "git", "tag", "v0.3.0")
	run(t, root, "git", "tag", "nightly")
	wantVersion(t, root, "0.3.0")
	if got, want := script(t, root, "revision"), run(t, root, "git", "rev-parse", "HEAD"); got != want {
		t.Errorf("the revision is %q, want %q", got, want)
	}
	if got, want := script(t, root, "created"), "2026-11-27T17:00:00Z"; got != want {
		t.Errorf("created is %q, want %q", got, want)
	}
	put(t, root, "charts/orderd/Chart.yaml", "appVersion: 0.4.0\n")
	wantVersion(t, root, "0.3.0-dirty")
	hash := commit(t, root)
	wantVersion(t, root, "0.3.0-1-"+hash)
	run(t, root, "git", "tag", "-a", "-m", "a candidate", "v0.4.0-rc.1")
	wantVersion(t, root, "0.4.0-rc.1")
	hash = commit(t, root)
	wantVersion(t, root, "0.4.0-rc.1-1-"+hash)
}

func TestVersionOfAShallowClone(t *testing.T) {
	root := work(t)
	run(t, root, "git", "tag", "v0.3.0")
	hash := commit(t, root)
	clone := t.TempDir()
	run(t, root, "git", "clone", "-q", "--depth", "1", "--no-tags", "file://"+root, clone)
	wantVersion(t, clone, "0.3.0-1-"+hash)
}

func TestVersionOfAnArchive(t *testing.T) {
	root := work(t)
	unpack := func() string {
		archive, dir := filepath.Join(t.TempDir(), "orderd.tar"), t.TempDir()
		run(t, root, "git", "archive", "-o", archive, "HEAD")
		run(t, dir, "tar", "-xf", archive)
		return dir
	}
	hash := commit(t, root)
	wantVersion(t, unpack(), "0.3.0-0-"+hash)
	run(t, root, "git", "tag", "v0.3.0")
	released := unpack()
	wantVersion(t, released, "0.3.0")
	for what, want := range map[string]string{
		"revision": run(t, root, "git", "rev-parse", "HEAD"), "created": "2026-11-28T01:00:00+08:00",
	} {
		if got := script(t, released, what); got != want {
			t.Errorf("%s is %q, want %q", what, got, want)
		}
	}
	// A tree inside another repository is not of that one's version.
	run(t, root, "cp", "-r", released, "vendored")
	run(t, root, "git", "tag", "v9.0.0")
	wantVersion(t, filepath.Join(root, "vendored"), "0.3.0")
}

func TestVersionOfACopyOfTheFiles(t *testing.T) {
	root := work(t)
	if err := os.RemoveAll(filepath.Join(root, ".git")); err != nil {
		t.Fatal(err)
	}
	wantVersion(t, root, "0.3.0-unknown")
	for what, want := range map[string]string{"revision": "unknown", "created": "1970-01-01T00:00:00Z"} {
		if got := script(t, root, what); got != want {
			t.Errorf("%s is %q, want %q", what, got, want)
		}
	}
}

func TestTheChartIsOfTheVersion(t *testing.T) {
	root := work(t)
	passes := func(version, appVersion string) bool {
		t.Helper()
		put(t, root, "charts/orderd/Chart.yaml", "version: "+version+"\nappVersion: "+appVersion+"\n")
		commit(t, root)
		cmd := exec.CommandContext(t.Context(), "hack/version.sh", "check")
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		t.Logf("%s says: %s", script(t, root), out)
		return err == nil
	}
	if !passes("0.3.0", "0.3.0") {
		t.Error("before the first tag, the chart's own version is refused")
	}
	run(t, root, "git", "tag", "v0.3.0")
	for appVersion, want := range map[string]bool{"0.3.0": true, "0.4.0": true, "0.10.0-rc.1": true, "0.2.9": false} {
		if got := passes(appVersion, appVersion); got != want {
			t.Errorf("after v0.3.0 an appVersion of %s passes: %t, want %t", appVersion, got, want)
		}
	}
	if passes("0.3.0", "0.4.0") {
		t.Error("a chart passes whose two versions differ")
	}
	passes("0.4.0", "0.4.0")
	run(t, root, "git", "tag", "v0.5.0")
	cmd := exec.CommandContext(t.Context(), "hack/version.sh", "check")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("a commit is tagged v0.5.0 though its chart is of 0.4.0: %s", out)
	}
}
