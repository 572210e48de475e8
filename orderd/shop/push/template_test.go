package push

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
)

func TestEveryEventHasATemplateFromTheStart(t *testing.T) {
	for _, event := range eventNames() {
		for _, lang := range []string{"en", "zh"} {
			tmpl, ok := resolve(nil, event, lang)
			if !ok || tmpl.Language != lang {
				t.Errorf("%s in %s: %v, %v", event, lang, tmpl, ok)
				continue
			}
			if err := tmpl.check(); err != nil {
				t.Errorf("%s in %s: %v", event, lang, err)
			}
			title, body, err := tmpl.texts(fields(example(event), lang))
			if err != nil || title == "" || body == "" || strings.ContainsAny(title+body, "{}") {
				t.Errorf("%s in %s: %q, %q, %v", event, lang, title, body, err)
			}
		}
	}
}

func TestResolve(t *testing.T) {
	written := map[string]map[string]Template{
		"paid":    {"zh-TW": {Language: "zh-TW"}, "fr": {Language: "fr"}},
		"shipped": {"en": {Language: "en", Title: "ours"}, "zh": {Language: "zh", Muted: true}},
	}
	tests := []struct {
		event, language string
		want            string
		told            bool
	}{
		{"paid", "zh-TW", "zh-TW", true},
		{"paid", "zh-HK", "zh", true},
		{"paid", "zh", "zh", true},
		{"paid", "fr-CA", "fr", true},
		{"paid", "pt", "en", true},
		{"shipped", "pt", "en", true},
		{"shipped", "zh-TW", "zh", false},
		{"placed", "en", "", false},
	}
	for _, tt := range tests {
		got, told := resolve(written, tt.event, tt.language)
		if got.Language != tt.want || told != tt.told {
			t.Errorf("%s in %s: %+v, %v, want %s, %v", tt.event, tt.language, got, told, tt.want, tt.told)
		}
	}
	if got, _ := resolve(written, "shipped", "en"); got.Title != "ours" {
		t.Errorf("title %q, want the written one's", got.Title)
	}
}

func TestRender(t *testing.T) {
	tests := []struct{ name, text, want, wantErr string }{
		{name: "plain", text: "Hello", want: "Hello"},
		{name: "fields", text: "{item} for {total}.", want: "Tea {total} for 12.50 CNY."},
		{name: "braces", text: "{{{item}}}", want: "{Tea {total}}"},
		{name: "unknown", text: "{buyer_id}", wantErr: "no field {buyer_id}"},
		{name: "open", text: "{item", wantErr: "a { without its }"},
		{name: "closed", text: "item}", wantErr: "a } that no { belongs to"},
		{name: "empty", text: "{}", wantErr: "no field {}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			title, _, err := Template{Title: tt.text}.texts(map[string]string{"item": "Tea {total}", "total": "12.50 CNY"})
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("error %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil || title != tt.want {
				t.Errorf("got %q, %v, want %q", title, err, tt.want)
			}
		})
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("{item} {{x}} {total}", "a")
	f.Add("{", "}")
	f.Fuzz(func(t *testing.T, text, item string) {
		tmpl := Template{Event: "paid", Language: "en", Title: text}
		if tmpl.check() != nil {
			return
		}
		title, _, err := tmpl.texts(map[string]string{"item": item})
		if err != nil {
			t.Errorf("a template that was checked cannot be rendered: %v", err)
		}
		if utf8.RuneCountInString(title) > maxTitle {
			t.Errorf("a title of %d characters", utf8.RuneCountInString(title))
		}
	})
}

func TestAmount(t *testing.T) {
	tests := []struct {
		money *moneyv1.Money
		want  string
	}{
		{&moneyv1.Money{Amount: 1250, Currency: "CNY"}, "12.50 CNY"},
		{&moneyv1.Money{Amount: 5, Currency: "CNY"}, "0.05 CNY"},
		{&moneyv1.Money{Amount: -105, Currency: "EUR"}, "-1.05 EUR"},
		{&moneyv1.Money{Amount: 300, Currency: "JPY"}, "300 JPY"},
		{&moneyv1.Money{Amount: 1234, Currency: "KWD"}, "1.234 KWD"},
		{&moneyv1.Money{Amount: -1 << 63, Currency: "CNY"}, "-92233720368547758.08 CNY"},
		{&moneyv1.Money{Amount: 100, Currency: "??"}, "1.00 ??"},
		{nil, ""},
	}
	for _, tt := range tests {
		if got := amount(tt.money); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.money, got, tt.want)
		}
	}
}

// The example that the scheme's own libraries are tested with.
func TestSignatureIsTheSpecificationsExample(t *testing.T) {
	s, err := newSigner([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	if err := s.sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0),
		[]byte(`{"test": 2432232314}`)); err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"Webhook-Id": {
			"msg_p5jXN8AQM9LWM0D4loKWxJek",
		},
		"Webhook-Timestamp": {"1614265330"},
		"Webhook-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestParseSecrets(t *testing.T) {
	const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	for text, want := range map[string]string{
		key:                           "",
		key + "\n" + key + "\n":       "",
		"":                            "must be 1 to 3",
		strings.Repeat(key+" ", 4):    "must be 1 to 3",
		"MfKQ9r8GKYqrTwjUPD8ILPZIo2L": "does not begin with whsec_",
		"whsec_***":                   "is not base64",
		"whsec_c2hvcnQ=":              "has 5 bytes",
	} {
		_, err := ParseSecrets(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "c2hvcnQ") {
			t.Errorf("the error holds the key: %v", err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, "-5": 0, "soon": 0,
		"Wed, 11 Nov 2026 12:01:00 GMT": time.Minute, "Wed, 11 Nov 2026 11:00:00 GMT": 0, "99999999999": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func TestExamplesAreOfTheirEvents(t *testing.T) {
	for _, m := range messages() {
		if _, ok := m.(carriesOrder); !ok {
			t.Errorf("%s carries no order", proto.MessageName(m))
		}
	}
}
