// Package bounded calls a provider's API over HTTP with bounds on everything: the time, what is read, and where a
// redirect leads, which is nowhere.
package bounded

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// Timeout of one call, whatever the caller's context allows.
	Timeout = 10 * time.Second
	// MaxAnswer is the largest answer that is read of a call that is not a bill.
	MaxAnswer = 1 << 20
	// MaxBill is the largest bill that is read, before and after decompression: a million rows of 250 bytes.
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

// NewClient has time-outs and follows no redirect: a signed request is for one host only.
func NewClient() *http.Client {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: maxIdlePerHost, IdleConnTimeout: idleLimit,
		TLSHandshakeTimeout: Timeout, ResponseHeaderTimeout: Timeout, ForceAttemptHTTP2: true,
	}
	return &http.Client{Transport: transport, Timeout: Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

var errTooLarge = errors.New("the answer is too large")

// Do calls and reads an answer of up to limit bytes. An error leaves open whether the call had its effect.
func Do(client *http.Client, req *http.Request, limit int64) (Response, error) {
	resp, err := client.Do(req)
	if err != nil {
		return Response{}, fmt.Errorf("calling: %w", err)
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
