package main

import (
	"bytes"
	"encoding/pem"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// authoritiesFile is where Go and most other libraries look for the certificates that TLS believes.
const authoritiesFile = "etc/ssl/certs/ca-certificates.crt"

// authorities are the public certificate authorities that Mozilla trusts, as PEM. Those that it trusts
// with a reserve are left out: a file of certificates cannot say it.
func authorities() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return out.Bytes()
}
