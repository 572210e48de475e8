package psp_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderd-dev/orderd/orderd/sim/psp"
)

// Keys are written and read: the program makes them once and keeps them.
func TestKeysStay(t *testing.T) {
	keys, err := psp.GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "keys.json")
	if err := keys.Save(file); err != nil {
		t.Fatal(err)
	}
	again, err := psp.LoadKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Merchant.Equal(keys.Merchant) || !again.AlipayKey.Equal(keys.AlipayKey) || again.APIv3Key != keys.APIv3Key {
		t.Error("other keys were read than written")
	}
	for name, k := range map[string]*psp.Keys{"one": keys, "two": again} {
		if err := k.WriteSecrets(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"wechatpay/apiclient_key.pem", "alipay/alipay_public_key.pem", "stripe/webhook_secret"} {
		one, err := os.ReadFile(filepath.Join(dir, "one", path))
		if err != nil {
			t.Fatal(err)
		}
		two, err := os.ReadFile(filepath.Join(dir, "two", path))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one, two) {
			t.Errorf("%s differs", path)
		}
	}
}

func call(t *testing.T, method, url, body string, header map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// What is not signed by the merchant is refused, and the admin's endpoints do what they say.
func TestServer(t *testing.T) {
	keys, err := psp.GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 8)
	shop := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		told <- r.Header.Get("Stripe-Signature")
	}))
	defer shop.Close()
	sim, err := psp.NewServer(psp.Options{Keys: keys, StripeWebhook: shop.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	server := httptest.NewServer(sim)
	defer server.Close()

	unsigned := map[string]string{"Authorization": "WECHATPAY2-SHA256-RSA2048 mchid=\"1\""}
	if status, text := call(t, http.MethodGet, server.URL+"/v3/certificates", "",
		unsigned); status != http.StatusUnauthorized {
		t.Errorf("WeChat Pay answered %d %s", status, text)
	}
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	_, text := call(t, http.MethodPost, server.URL+"/gateway.do", "app_id="+keys.AlipayAppID, form)
	if !strings.Contains(text, "error_response") {
		t.Errorf("Alipay answered %s", text)
	}
	stripe := map[string]string{
		"Authorization": "Bearer wrong", "Stripe-Version": psp.StripeVersion, "Idempotency-Key": "k",
	}
	intents := server.URL + "/v1/payment_intents"
	if status, text := call(t, http.MethodPost, intents, "amount=100&currency=usd",
		stripe); status != http.StatusUnauthorized {
		t.Errorf("Stripe answered %d %s", status, text)
	}
	stripe["Authorization"] = "Bearer " + keys.StripeKey
	_, text = call(t, http.MethodPost, intents, "amount=100&currency=usd", stripe)
	var intent struct{ ID string }
	if err := json.Unmarshal([]byte(text), &intent); err != nil || intent.ID == "" {
		t.Fatalf("Stripe answered %s, %v", text, err)
	}
	status, text := call(t, http.MethodPost, intents, "amount=101&currency=usd", stripe)
	if status != http.StatusBadRequest || !strings.Contains(text, "idempotency_error") {
		t.Errorf("the same key with another body: %d %s", status, text)
	}
	admin(t, sim, server.URL, intent.ID, told)
}

// admin checks the admin's endpoints with a payment at Stripe that is open.
func admin(t *testing.T, sim *psp.Server, url, intent string, told <-chan string) {
	t.Helper()
	for body, want := range map[string]int{
		`{"kind":"lost","provider":"stripe"}`: http.StatusNoContent, `{"kind":"earthquake"}`: http.StatusBadRequest,
	} {
		if status, text := call(t, http.MethodPost, url+"/admin/faults", body, nil); status != want {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if status, _ := call(t, http.MethodDelete, url+"/admin/faults", "", nil); status != http.StatusNoContent {
		t.Errorf("faults were not cleared: %d", status)
	}
	pay := url + "/pay/stripe/" + intent
	for _, want := range []int{http.StatusOK, http.StatusConflict} {
		if status, text := call(t, http.MethodPost, pay+"?fault=late", "", nil); status != want {
			t.Errorf("paying answered %d %s", status, text)
		}
	}
	if status, _ := call(t, http.MethodPost, pay+"?fault=earthquake", "", nil); status != http.StatusBadRequest {
		t.Errorf("an unknown fault: %d", status)
	}
	if status, _ := call(t, http.MethodPost, url+"/pay/stripe/pi_none", "", nil); status != http.StatusNotFound {
		t.Errorf("an unknown payment: %d", status)
	}
	if _, text := call(t, http.MethodPost, url+"/admin/release", "", nil); !strings.Contains(text, `"released":1`) {
		t.Errorf("released %s", text)
	}
	sim.Wait()
	if len(told) != 1 || !strings.HasPrefix(<-told, "t=") {
		t.Error("the event did not come once")
	}
	if _, text := call(t, http.MethodGet, url+"/admin/deliveries", "", nil); !strings.Contains(text, `"taken":true`) {
		t.Errorf("deliveries are %s", text)
	}
	if _, text := call(t, http.MethodGet, url+"/admin/payments", "", nil); !strings.Contains(text, `"state":"SUCCEEDED"`) {
		t.Errorf("payments are %s", text)
	}
}
