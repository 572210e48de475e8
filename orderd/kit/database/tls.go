package database

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/certs"
)

// TLS is what connections to a database are secured with, besides what its URL says.
type TLS struct {
	// Authorities are who may have signed the server's certificate; nil: those of the URL's
	// sslrootcert, or the system's.
	Authorities *x509.CertPool
	// Certificate is what the server is shown if it asks; nil: that of the URL's sslcert, if any.
	Certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
}

// FileTLS reads TLS from files; one that has no name is not used. Renewed files of the certificate
// count for the next connection.
func FileTLS(caFile, certificateFile, keyFile string) (TLS, error) {
	var t TLS
	if caFile != "" {
		var err error
		if t.Authorities, err = certs.AuthoritiesOf(caFile); err != nil {
			return TLS{}, err
		}
	}
	if certificateFile != "" {
		pair, err := certs.Load(certificateFile, keyFile)
		if err != nil {
			return TLS{}, err
		}
		t.Certificate = pair.Client
	}
	return t, nil
}

// WithTLS secures the connections. Whether there is TLS, and what is verified, is for the URL's sslmode.
func WithTLS(t TLS) Option { return func(o *options) { o.tls = t } }

// apply it to every server that the URL names.
func (t TLS) apply(c *pgx.ConnConfig) {
	for _, config := range tlsConfigs(c) {
		if config == nil {
			continue
		}
		if t.Authorities != nil {
			config.RootCAs = t.Authorities
		}
		if t.Certificate != nil {
			config.GetClientCertificate = t.Certificate
		}
	}
}

// tlsConfigs has one entry a way to a server; nil: in clear text.
func tlsConfigs(c *pgx.ConnConfig) []*tls.Config {
	all := []*tls.Config{c.TLSConfig}
	for _, fallback := range c.Fallbacks {
		all = append(all, fallback.TLSConfig)
	}
	return all
}

// ErrInsecure is of a URL by which somebody on the way could read or change what is sent.
var ErrInsecure = errors.New("sslmode must be verify-full, so that the server's certificate and name are verified")

// Verified is [ErrInsecure] unless all connections to a postgres:// URL are by TLS and to a server
// whose certificate and name are verified.
func Verified(url string) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// The parser's error holds the URL, and that the password.
		return errBadURL
	}
	for _, c := range tlsConfigs(config) {
		if c == nil || c.InsecureSkipVerify {
			return ErrInsecure
		}
	}
	return nil
}

// Identity names the database that a postgres:// URL leads to, by hosts, ports and name and without
// who logs in: it stays the same when a password changes.
func Identity(url string) (string, error) {
	config, err := pgx.ParseConfig(url)
	// What is empty leads to wherever the environment says.
	if err != nil || url == "" {
		return "", errBadURL
	}
	servers := map[string]bool{net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))): true}
	for _, f := range config.Fallbacks {
		servers[net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(servers)), ",") + "/" + config.Database, nil
}
