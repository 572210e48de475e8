// Package bounded calls a provider's API over HTTP with bounds on everything: the time, what is
// read, and where a redirect leads, which is nowhere.
package bounded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// Timeout of one call, whatever the caller's context allows.
	Timeout = 10 * time.Second
	// BillTimeout of the download of a bill.
	BillTimeout = 5 * time.Minute
	// MaxAnswer is the largest answer that is read, except of bills, in bytes.
	MaxAnswer = 1 << 20
	// MaxBill is the largest bill that is read, before and after decompression: a million rows of
	// 250 bytes.
	MaxBill = 256 << 20

	maxIdlePerHost = 64
	idleLimit      = 60 * time.Second
)

// Response is an answer, read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// NewClient makes a client that connects within a time-out; [Do] bounds the rest. It follows no
// redirect: a signed request is for one host only. It heeds HTTPS_PROXY, for clusters that let only
// a proxy out.
func NewClient() *http.Client {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: maxIdlePerHost, IdleConnTimeout: idleLimit,
		TLSHandshakeTimeout: Timeout, ResponseHeaderTimeout: Timeout, ForceAttemptHTTP2: true,
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

var errTooLarge = errors.New("the answer is too large")

// Do calls and reads an answer of up to limit bytes. An error leaves open whether the call had its
// effect.
func Do(client *http.Client, req *http.Request, timeout time.Duration, limit int64) (Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), timeout)
	defer cancel()
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		// Whoever has a bill's URL can read the bill: the error names only the host.
		var told *url.Error
		if errors.As(err, &told) {
			err = told.Err
		}
		return Response{}, fmt.Errorf("calling %s: %w", req.URL.Host, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := ReadAll(resp.Body, limit)
	if err != nil {
		return Response{}, fmt.Errorf("reading the answer: %w", err)
	}
	return Response{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// ReadAll reads up to limit bytes and fails if there are more.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, errTooLarge
	}
	return body, nil
}

// Limit bounds the answers of a client that a library reads: what is longer than limit ends with an
// error.
func Limit(client *http.Client, timeout time.Duration, limit int64) *http.Client {
	bound := *client
	bound.Timeout = timeout
	transport := client.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	bound.Transport = limited{next: transport, limit: limit}
	return &bound
}

type limited struct {
	next  http.RoundTripper
	limit int64
}

func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: l.limit + 1}
	return resp, nil
}

type limitedBody struct {
	io.ReadCloser
	// left is one more than the bytes that may still come.
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	if b.left -= int64(n); b.left <= 0 {
		return 0, errTooLarge
	}
	return n, err
}
