package psp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// clockSkew is how far a request's time may be from WeChat Pay's.
const clockSkew = 5 * time.Minute

var authorizationFields = regexp.MustCompile(`(\w+)="([^"]*)"`)

// authentic checks a request as "Signature Generation" of API v3's documents describes it and
// returns its body.
func (s *Server) authentic(r *http.Request) (body []byte, why string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, "the body cannot be read"
	}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme != "WECHATPAY2-SHA256-RSA2048" {
		return nil, "the scheme is not WECHATPAY2-SHA256-RSA2048"
	}
	fields := map[string]string{}
	for _, match := range authorizationFields.FindAllStringSubmatch(rest, -1) {
		fields[match[1]] = match[2]
	}
	seconds, err := strconv.ParseInt(fields["timestamp"], 10, 64)
	age := s.now().Sub(time.Unix(seconds, 0))
	switch {
	case fields["mchid"] != s.keys.MerchantID, fields["serial_no"] != s.keys.MerchantSerial:
		return nil, "no such merchant or certificate"
	case err != nil, age > clockSkew, age < -clockSkew:
		return nil, "the timestamp is too far off"
	case len(fields["nonce_str"]) < 16:
		return nil, "the nonce is too short"
	case r.Header.Get("User-Agent") == "", !strings.Contains(r.Header.Get("Accept"), "application/json"):
		return nil, "User-Agent or Accept is missing"
	}
	text := r.Method + "\n" + r.RequestURI + "\n" + fields["timestamp"] + "\n" + fields["nonce_str"] + "\n" +
		string(body) + "\n"
	if !checkSHA256(&s.keys.Merchant.PublicKey, text, fields["signature"]) {
		return nil, "the signature is wrong"
	}
	return body, ""
}

// weChatPayHeader signs a message of WeChat Pay's: an answer, or a notification.
func (s *Server) weChatPayHeader(body []byte, publicKey, forged bool) map[string]string {
	stamp, nonce := strconv.FormatInt(s.now().Unix(), 10), random(16)
	s.mu.Lock()
	current := s.platform[len(s.platform)-1]
	s.mu.Unlock()
	key, serial := current.key, current.serial
	if publicKey {
		key, serial = s.keys.WeChatPay, s.keys.PublicKeyID
	}
	if forged {
		key = s.keys.Forger
	}
	return map[string]string{
		"Wechatpay-Timestamp": stamp, "Wechatpay-Nonce": nonce, "Wechatpay-Serial": serial,
		"Wechatpay-Signature":      signSHA256(key, stamp+"\n"+nonce+"\n"+string(body)+"\n"),
		"Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
	}
}

// answerWeChatPay writes a signed answer. A merchant in the public key mode says so in its requests.
func (s *Server) answerWeChatPay(w http.ResponseWriter, r *http.Request, status int, value any, forged bool) {
	var body []byte
	if value != nil {
		body = encode(value)
	}
	w.Header().Set("Request-Id", random(8))
	for name, text := range s.weChatPayHeader(body, r.Header.Get("Wechatpay-Serial") == s.keys.PublicKeyID, forged) {
		w.Header().Set(name, text)
	}
	if body != nil {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// seal encrypts as AEAD_AES_256_GCM of RFC 5116, with the key that the merchant set.
func (s *Server) seal(plain []byte, associated string) map[string]string {
	block, err := aes.NewCipher([]byte(s.keys.APIv3Key))
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	nonce := random(6)
	return map[string]string{
		"algorithm": "AEAD_AES_256_GCM", "nonce": nonce, "associated_data": associated,
		"ciphertext": base64.StdEncoding.EncodeToString(gcm.Seal(nil, []byte(nonce), plain, []byte(associated))),
	}
}

// certificates answers GET /v3/certificates.
func (s *Server) certificates() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	var data []any
	for _, p := range s.platform {
		data = append(data, map[string]any{
			"serial_no": p.serial, "effective_time": chinaTime(p.notBefore), "expire_time": chinaTime(p.notAfter),
			"encrypt_certificate": s.seal(p.pem, "certificate"),
		})
	}
	return map[string]any{"data": data}
}

// encode writes JSON without escaping what HTML would need escaped, as the providers do.
func encode(value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		// Only maps of strings and numbers come here.
		panic(err)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
