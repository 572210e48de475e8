package main

import (
	"archive/tar"
	"errors"
	"io"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func binary(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// files lists what a container of the image would see.
func files(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	content := mutate.Extract(img)
	defer content.Close()
	found := map[string]string{}
	reader := tar.NewReader(content)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = string(body)
	}
}

func check(t *testing.T, img v1.Image, wantFile, wantContent string) {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" {
		t.Errorf("user is %q", config.Config.User)
	}
	if want := []string{"/" + wantFile}; !slices.Equal(config.Config.Entrypoint, want) {
		t.Errorf("entry point is %q, want %q", config.Config.Entrypoint, want)
	}
	if config.Architecture != "arm64" || config.OS != "linux" {
		t.Errorf("platform is %s/%s", config.OS, config.Architecture)
	}
	if got := files(t, img)[wantFile]; got != wantContent {
		t.Errorf("%s holds %q, want %q", wantFile, got, wantContent)
	}
}

func TestSaveWritesAnImageAndRemovesItsEarlierVersions(t *testing.T) {
	out := t.TempDir()
	first, err := deliver(t.Context(), spec{name: "shop", binary: binary(t, "one"), path: "/server", arch: "arm64"}, out,
		"")
	if err != nil {
		t.Fatal(err)
	}
	other, err := deliver(t.Context(), spec{name: "shop-admin", binary: binary(t, "one"), path: "/server", arch: "arm64"},
		out, "")
	if err != nil {
		t.Fatal(err)
	}
	second, err := deliver(t.Context(), spec{name: "shop", binary: binary(t, "two"), path: "/server", arch: "arm64"}, out,
		"")
	if err != nil {
		t.Fatal(err)
	}
	if first == second {
		t.Errorf("different contents have the same reference %s", first)
	}
	left, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil {
		t.Fatal(err)
	}
	file := func(reference string) string {
		return filepath.Join(out, strings.ReplaceAll(reference, ":", "_")+".tar")
	}
	want := []string{file(other), file(second)}
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("tarballs are %q, want %q", left, want)
	}
	img, err := tarball.ImageFromPath(file(second), nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, img, "server", "two")
}

func TestTheSameContentHasTheSameReference(t *testing.T) {
	image := spec{name: "shop", path: "/server", arch: "arm64"}
	var references []string
	for range 2 {
		image.binary = binary(t, "one")
		reference, err := deliver(t.Context(), image, t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		references = append(references, reference)
	}
	if references[0] != references[1] {
		t.Errorf("references differ: %q", references)
	}
}

func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	reference, err := deliver(t.Context(),
		spec{name: "shop", tag: "1", binary: binary(t, "one"), path: "/server", arch: "arm64"}, "", host+"/team/")
	if err != nil {
		t.Fatal(err)
	}
	if want := host + "/team/shop:1"; reference != want {
		t.Errorf("reference is %q, want %q", reference, want)
	}
	parsed, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(parsed)
	if err != nil {
		t.Fatal(err)
	}
	check(t, img, "server", "one")
}

// imageOf is the image in the tarball that deliver has written.
func imageOf(t *testing.T, image spec) (string, *v1.ConfigFile) {
	t.Helper()
	out := t.TempDir()
	reference, err := deliver(t.Context(), image, out, "")
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(filepath.Join(out, strings.ReplaceAll(reference, ":", "_")+".tar"), nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return reference, config
}

func TestAnImageOfOursSaysItsVersion(t *testing.T) {
	image := spec{name: "orderd", path: "/orderd", arch: "arm64", binary: binary(t, "one")}
	_, config := imageOf(t, image)
	if len(config.Config.Labels) > 0 || !config.Created.IsZero() {
		t.Errorf("somebody else's program has labels %v and is of %s", config.Config.Labels, config.Created)
	}
	image.about = release{
		version: "0.3.0", revision: "4d69daac632e0626d7d56f4fb45aa9cfc320112d", created: "2026-11-28T01:00:00+08:00",
	}
	reference, config := imageOf(t, image)
	want := map[string]string{
		"org.opencontainers.image.title":    "orderd",
		"org.opencontainers.image.version":  "0.3.0",
		"org.opencontainers.image.revision": "4d69daac632e0626d7d56f4fb45aa9cfc320112d",
		"org.opencontainers.image.created":  "2026-11-28T01:00:00+08:00",
		"org.opencontainers.image.source":   "https://github.com/orderd-dev/orderd",
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	if !maps.Equal(config.Config.Labels, want) {
		t.Errorf("labels are %v, want %v", config.Config.Labels, want)
	}
	if got, want := config.Created.String(), "2026-11-27 17:00:00 +0000 UTC"; got != want {
		t.Errorf("the image is of %s, want %s", got, want)
	}
	if again, _ := imageOf(t, image); again != reference {
		t.Errorf("the same image is once %s, once %s", reference, again)
	}
	image.about.version = "0.3.1"
	if next, _ := imageOf(t, image); next == reference {
		t.Errorf("the images of two versions are both %s", next)
	}
}

// What build.sh hands over is what hack/version.sh says, and that the chart is of the same version
// is what its check says.
func TestAnImageOfThisTree(t *testing.T) {
	say := func(what string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "../version.sh", what).Output()
		if err != nil {
			t.Fatalf("version.sh %s: %v", what, err)
		}
		return strings.TrimSpace(string(out))
	}
	image := spec{name: "orderd", path: "/orderd", arch: "arm64", binary: binary(t, "one")}
	image.about = release{version: say("version"), revision: say("revision"), created: say("created")}
	_, config := imageOf(t, image)
	if got := config.Config.Labels["org.opencontainers.image.version"]; got != image.about.version {
		t.Errorf("the image is of version %q, want %q", got, image.about.version)
	}
	say("check")
}

func TestParse(t *testing.T) {
	tests := map[string]struct {
		want    spec
		wantErr bool
	}{
		"orderd=/bin/orderd":         {want: spec{name: "orderd", binary: "/bin/orderd", path: "/orderd"}},
		"nats:2.15.2=/bin/x:/server": {want: spec{name: "nats", tag: "2.15.2", binary: "/bin/x", path: "/server"}},
		"orderd":                     {wantErr: true},
		"Orderd=/bin/orderd":         {wantErr: true},
		"orderd=":                    {wantErr: true},
	}
	for argument, test := range tests {
		got, err := parse(argument)
		if (err != nil) != test.wantErr || got != test.want {
			t.Errorf("parse(%q) = %+v, %v; want %+v, error %t", argument, got, err, test.want, test.wantErr)
		}
	}
}
