package alipay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/bounded"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/rsasign"
)

// The codes of an answer; why a call failed is in sub_code.
const (
	codeSuccess = "10000"
	// codeFailed is a call that was understood and refused.
	codeFailed = "40004"
)

// content is the text that is signed: every parameter that is not empty, sorted by name, without
// those left out.
func content(values url.Values, without ...string) []byte {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values.Get(name)
		if value == "" || slices.Contains(without, name) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(name + "=" + value)
	}
	return []byte(b.String())
}

// request makes the signed parameters of a method.
func (p *Provider) request(method string, biz any, more map[string]string) (url.Values, error) {
	text, err := json.Marshal(biz)
	if err != nil {
		return nil, fmt.Errorf("writing biz_content: %w", err)
	}
	values := url.Values{
		"app_id": {p.appID}, "method": {method}, "format": {"JSON"}, "charset": {"utf-8"},
		"sign_type": {"RSA2"}, "version": {"1.0"},
		"timestamp": {p.now().In(china).Format(time.DateTime)}, "biz_content": {string(text)},
	}
	for name, value := range more {
		if value != "" {
			values.Set(name, value)
		}
	}
	signature, err := rsasign.Sign(p.key, content(values, "sign"))
	if err != nil {
		return nil, err
	}
	values.Set("sign", signature)
	return values, nil
}

// problemError is Alipay's refusal of a call, signed by Alipay.
type problemError struct{ code, subCode string }

// Error has the codes; the texts are for a person and may repeat what was sent.
func (p *problemError) Error() string { return "Alipay answered " + p.code + " " + p.subCode }

// final tells whether the same call would be refused again. A system's error leaves open whether it
// had its effect.
func (p *problemError) final() bool {
	passing := []string{"ACQ.SYSTEM_ERROR", "aop.ACQ.SYSTEM_ERROR"}
	return p.code == codeFailed && !slices.Contains(passing, p.subCode) && !strings.HasPrefix(p.subCode, "isp.")
}

// call makes a call, verifies the answer's signature and reads the answer into out. A
// [*problemError] is Alipay's refusal; any other error leaves the call's effect open.
func (p *Provider) call(ctx context.Context, method string, biz, out any, more map[string]string) error {
	values, err := p.request(method, biz, more)
	if err != nil {
		return err
	}
	// Alipay reads the parameters by the charset that stands in the URL.
	body := strings.NewReader(values.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.gateway+"?charset=utf-8", body)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=utf-8")
	response, err := bounded.Do(p.client, req, bounded.Timeout, bounded.MaxAnswer)
	if err != nil {
		return err
	}
	if response.Status != http.StatusOK {
		return fmt.Errorf("the gateway answered %d", response.Status)
	}
	node, err := p.verified(method, response.Body)
	if err != nil {
		return err
	}
	var head struct {
		Code    string `json:"code"`
		SubCode string `json:"sub_code"`
	}
	if err := json.Unmarshal(node, &head); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if head.Code != codeSuccess {
		return &problemError{code: head.Code, subCode: head.SubCode}
	}
	if err := json.Unmarshal(node, out); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

// verified returns the answer's node byte by byte as it came, if its signature is Alipay's: the
// signature is over these bytes.
func (p *Provider) verified(method string, body []byte) ([]byte, error) {
	var nodes map[string]json.RawMessage
	if err := json.Unmarshal(body, &nodes); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	node := nodes[strings.ReplaceAll(method, ".", "_")+"_response"]
	var signature string
	if err := json.Unmarshal(nodes["sign"], &signature); err != nil || len(node) == 0 {
		return nil, fmt.Errorf("an answer without a signature: %s", errorCode(nodes["error_response"]))
	}
	if err := rsasign.Verify(p.alipayKey, node, signature); err != nil {
		return nil, fmt.Errorf("the answer is not believed: %w", err)
	}
	return node, nil
}

// errorCode is the code in an answer that nobody has signed. It is for the log and nothing else.
func errorCode(node json.RawMessage) string {
	var body struct {
		Code    string `json:"code"`
		SubCode string `json:"sub_code"`
	}
	if json.Unmarshal(node, &body) != nil {
		return "no error_response"
	}
	return fmt.Sprintf("%.16q %.64q", body.Code, body.SubCode)
}

// outcome puts an error of call into the classes of payment.Provider.
func outcome(doing string, err error) error {
	var refused *problemError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && refused.final():
		return &payment.RefusedError{Reason: refused.subCode, Err: fmt.Errorf("alipay: %s: %w", doing, err)}
	}
	return fmt.Errorf("alipay: %s: %w", doing, err)
}

// is tells whether Alipay refused with one of the codes.
func is(err error, subCodes ...string) bool {
	var refused *problemError
	return errors.As(err, &refused) && slices.Contains(subCodes, refused.subCode)
}
