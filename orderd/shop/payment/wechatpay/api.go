package wechatpay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/bounded"
)

// userAgent is what WeChat Pay demands that a client calls itself.
const userAgent = "orderd"

// problemError is WeChat Pay's refusal of a call.
type problemError struct {
	status        int
	code, message string
}

// Error has the code; the message is for a person and may repeat what was sent.
func (p *problemError) Error() string {
	return fmt.Sprintf("WeChat Pay answered %d %s", p.status, p.code)
}

// passing tells whether the same call may succeed later, or may even have had its effect.
func (p *problemError) passing() bool {
	switch p.code {
	case "SYSTEM_ERROR", "SYSTEMERROR", "BANK_ERROR", "BANKERROR",
		"FREQUENCY_LIMITED", "FREQUENCY_LIMIT_EXCEED", "RATELIMIT_EXCEEDED", "SIGN_ERROR", "NO_AUTH":
		return true
	}
	switch p.status {
	case http.StatusTooManyRequests, http.StatusUnauthorized:
		return true
	}
	return p.status/100 != 4
}

func problemOf(r bounded.Response) *problemError {
	var body struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	// An answer that is no JSON, such as a gateway's, has only its status.
	_ = json.Unmarshal(r.Body, &body)
	return &problemError{status: r.Status, code: body.Code, message: body.Message}
}

// send signs and sends a request and reads the answer, which is not verified yet. An error leaves
// its effect open.
func (p *Provider) send(ctx context.Context, method, path string, in any) (bounded.Response, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return bounded.Response{}, fmt.Errorf("writing the request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, p.baseURL+path, bytes.NewReader(body))
	if err != nil {
		return bounded.Response{}, fmt.Errorf("making the request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	if p.keys.publicKey != nil {
		// It asks for an answer that is signed with this key and not by a certificate.
		req.Header.Set("Wechatpay-Serial", p.keys.publicKeyID)
	}
	if err := p.authorize(req, body); err != nil {
		return bounded.Response{}, err
	}
	return bounded.Do(p.client, req, bounded.Timeout, bounded.MaxAnswer)
}

// call makes a call, verifies the answer's signature and reads the answer into out. A
// [*problemError] is WeChat Pay's refusal, whose signature was right too; any other error leaves
// the call's effect open.
func (p *Provider) call(ctx context.Context, method, path string, in, out any) error {
	response, err := p.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	m, err := markOf(response.Header, p.now())
	if err == nil {
		err = p.keys.verify(ctx, m, response.Body)
	}
	if err != nil {
		if response.Status/100 != 2 {
			return fmt.Errorf("%w, in an answer that is not believed: %w", error(unsignedOf(response)), err)
		}
		return fmt.Errorf("the answer is not believed: %w", err)
	}
	if response.Status/100 != 2 {
		return problemOf(response)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(response.Body, out); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

// unsignedError is the refusal in an answer whose signature is wrong or missing. It is for the log
// and nothing else.
type unsignedError struct{ problem *problemError }

func (u unsignedError) Error() string { return u.problem.Error() }

func unsignedOf(r bounded.Response) unsignedError { return unsignedError{problem: problemOf(r)} }

// plain replaces the characters that WeChat Pay's fields do not take, and cuts the text to limit
// bytes.
func plain(text string, limit int) string {
	var b strings.Builder
	for _, r := range text {
		if r < ' ' || r == 0x7f || (r >= 0x10000) {
			r = ' '
		}
		if b.Len()+len(string(r)) > limit {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
