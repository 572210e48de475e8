package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// user is the number that distroless images use for "nonroot". As a number, so that Kubernetes can
// check runAsNonRoot without a user database in the image.
const user = "65532:65532"

// layerTar is the image's only layer. It has no times or owners in it, so that the same binary gives
// the same bytes.
func layerTar(image spec) ([]byte, error) {
	binary, err := os.ReadFile(image.binary)
	if err != nil {
		return nil, err
	}
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	// A folder that anyone may write to is what libraries expect of a system.
	err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777})
	if err != nil {
		return nil, err
	}
	if image.about.version != "" {
		if err := addFile(w, authoritiesFile, 0o644, authorities()); err != nil {
			return nil, err
		}
	}
	if err := addFile(w, strings.TrimPrefix(image.path, "/"), 0o755, binary); err != nil {
		return nil, err
	}
	if err = w.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

func addFile(w *tar.Writer, path string, mode int64, content []byte) error {
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode, Size: int64(len(content))})
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

// labels are the image's annotations as OCI names them. They follow from the commit alone.
func labels(image spec) map[string]string {
	if image.about.version == "" {
		return nil
	}
	return map[string]string{
		"org.opencontainers.image.title":    image.name,
		"org.opencontainers.image.version":  image.about.version,
		"org.opencontainers.image.revision": image.about.revision,
		"org.opencontainers.image.created":  image.about.created,
		"org.opencontainers.image.source":   "https://github.com/orderd-dev/orderd",
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
}

func contentTag(image spec, content []byte) string {
	sum := sha256.New()
	sum.Write(content)
	// Maps are printed in the order of their keys.
	fmt.Fprintf(sum, "%s %s %s %v", image.path, image.arch, user, labels(image))
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

func build(image spec, content []byte, options ...tarball.LayerOption) (v1.Image, error) {
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	layer, err := tarball.LayerFromOpener(opener, options...)
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", image.arch
	file.Config.Entrypoint = []string{image.path}
	file.Config.User = user
	file.Config.WorkingDir = "/"
	file.Config.Env = []string{"PATH=/"}
	file.Config.Labels = labels(image)
	if image.about.created != "" {
		created, err := time.Parse(time.RFC3339, image.about.created)
		if err != nil {
			return nil, fmt.Errorf("the time of the commit: %w", err)
		}
		file.Created = v1.Time{Time: created.UTC()}
	}
	return mutate.ConfigFile(img, file)
}

// write makes the tarball in the format of `docker save`. The layer stays uncompressed: it is read
// once, on the same machine.
func write(image spec, content []byte, reference, file string) error {
	if upToDate(image, file) {
		return nil
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		return err
	}
	img, err := build(image, content, tarball.WithCompressionLevel(gzip.NoCompression))
	if err != nil {
		return err
	}
	// A tarball that is there is whole, even if this process is killed now.
	if err := tarball.WriteToFile(file+".part", tag, img); err != nil {
		return err
	}
	return os.Rename(file+".part", file)
}

// upToDate says whether the tarball was made after the binary.
func upToDate(image spec, file string) bool {
	var times [2]time.Time
	for i, path := range []string{image.binary, file} {
		info, err := os.Stat(path)
		if err != nil {
			return false
		}
		times[i] = info.ModTime()
	}
	return times[1].After(times[0])
}

func push(ctx context.Context, image spec, content []byte, registry string) (string, error) {
	tag, err := name.NewTag(strings.TrimSuffix(registry, "/") + "/" + image.name + ":" + image.tag)
	if err != nil {
		return "", err
	}
	img, err := build(image, content, tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		return "", err
	}
	err = remote.Write(tag, img, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return "", fmt.Errorf("push %s: %w", tag, err)
	}
	return tag.String(), nil
}
