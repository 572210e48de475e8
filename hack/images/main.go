// Command images packs static binaries into container images without Docker: one layer, no shell, a
// user that is not root. Each image becomes a tarball that a node imports, or goes to a registry.
//
// It prints one line an image, `NAME_IMAGE=reference`, which shells and make can read as variables.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

func main() {
	log.SetFlags(0)
	out := flag.String("out", "", "folder for the tarballs")
	registry := flag.String("registry", "", "push to this registry (host/path) in place of writing tarballs")
	arch := flag.String("arch", "", "architecture that the binaries were built for, as in GOARCH")
	var about release
	flag.StringVar(&about.version, "version", "", "version of orderd that the images are of; empty: not of orderd")
	flag.StringVar(&about.revision, "revision", "", "hash of the version's commit")
	flag.StringVar(&about.created, "created", "", "time of the version's commit, as RFC 3339")
	flag.Usage = func() {
		_, _ = fmt.Fprint(flag.CommandLine.Output(), "usage: images -out FOLDER [-registry HOST/PATH] "+
			"[-version VERSION -revision HASH -created TIME] -arch ARCH NAME[:TAG]=BINARY[:PATH]…\n"+
			"Without a tag, one is derived from the image's content. PATH is where the binary lies in the image\n"+
			"(default: /NAME of the file).\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *out, *registry, spec{arch: *arch, about: about}, flag.Args())
	stop()
	if err != nil {
		log.Fatalf("error: %v", err)
	}
}

// run packs an image an argument; all has what they have in common.
func run(ctx context.Context, out, registry string, all spec, arguments []string) error {
	for _, argument := range arguments {
		image, err := parse(argument)
		if err != nil {
			return err
		}
		image.arch, image.about = all.arch, all.about
		reference, err := deliver(ctx, image, out, registry)
		if err != nil {
			return fmt.Errorf("image %s: %w", image.name, err)
		}
		fmt.Printf("%s_IMAGE=%s\n", variable(image.name), reference)
	}
	return nil
}

// spec is one image to pack.
type spec struct {
	name   string
	tag    string // empty: derived from the content
	binary string // on this machine
	path   string // in the image
	arch   string
	about  release
}

// release is the version of orderd that an image is of; the zero value: it is
// somebody else's program.
type release struct{ version, revision, created string }

var argument = regexp.MustCompile(`^([a-z0-9][a-z0-9/-]*)(?::([\w.-]+))?=([^:]+)(?::(/[^:]+))?$`)

func parse(s string) (spec, error) {
	m := argument.FindStringSubmatch(s)
	if m == nil {
		return spec{}, fmt.Errorf("%q is not NAME[:TAG]=BINARY[:PATH]", s)
	}
	image := spec{name: m[1], tag: m[2], binary: m[3], path: m[4]}
	if image.path == "" {
		image.path = "/" + filepath.Base(image.binary)
	}
	return image, nil
}

func variable(name string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", "/", "_").Replace(name))
}

func deliver(ctx context.Context, image spec, out, registry string) (string, error) {
	content, err := layerTar(image)
	if err != nil {
		return "", err
	}
	if image.tag == "" {
		image.tag = contentTag(image, content)
	}
	if registry != "" {
		return push(ctx, image, content, registry)
	}
	return save(image, content, out)
}

// save writes the tarball and removes those of the image's earlier versions.
func save(image spec, content []byte, out string) (string, error) {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", err
	}
	prefix := filepath.Join(out, strings.ReplaceAll(image.name, "/", "_")+"_")
	file := prefix + image.tag + ".tar"
	reference := image.name + ":" + image.tag
	if err := write(image, content, reference, file); err != nil {
		return "", err
	}
	versions, err := filepath.Glob(prefix + "*")
	if err != nil {
		return "", err
	}
	for _, version := range versions {
		if version != file {
			if err := os.Remove(version); err != nil {
				return "", err
			}
		}
	}
	return reference, nil
}
