package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"testing"
)

// layerFile returns a file of the image's layer; "" if it has none.
func layerFile(t *testing.T, image spec, name string) string {
	t.Helper()
	layer, err := layerTar(image)
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(bytes.NewReader(layer))
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Name == name {
			content, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return string(content)
		}
	}
}

func TestAnImageOfOursBelievesPublicAuthorities(t *testing.T) {
	image := spec{name: "orderd", path: "/orderd", arch: "arm64", binary: binary(t, "one")}
	if layerFile(t, image, authoritiesFile) != "" {
		t.Error("somebody else's program has certificates in its image")
	}
	image.about = release{version: "0.3.0"}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(layerFile(t, image, authoritiesFile))) {
		t.Fatal("the image has no certificates")
	}
	// Mozilla trusts about 150. One that nearly everybody meets is among them.
	subjects := pool.Subjects() //nolint:staticcheck // deprecated for the system's pools alone
	if len(subjects) < 50 {
		t.Errorf("the image trusts %d authorities", len(subjects))
	}
	found := false
	for _, subject := range subjects {
		found = found || bytes.Contains(subject, []byte("ISRG Root X1"))
	}
	if !found {
		t.Error("ISRG Root X1, which Let's Encrypt signs under, is not among them")
	}
}
