package providers_test

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/shop/payment/providers"
	"github.com/orderd-dev/orderd/orderd/sim/psp"
)

func deps(pool *pgxpool.Pool) providers.Deps {
	return providers.Deps{
		Cluster: "shop/main", Pool: pool, Clock: time.Now, Random: rand.Reader, Logger: slog.New(slog.DiscardHandler),
	}
}

func TestAll(t *testing.T) {
	dir := t.TempDir()
	keys, err := psp.GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.WriteSecrets(dir); err != nil {
		t.Fatal(err)
	}
	var configured []config.Payment
	for _, name := range []string{psp.WeChatPay, psp.Alipay, psp.Stripe} {
		configured = append(configured, config.Payment{
			Provider: name, SecretDir: filepath.Join(dir, name), NotifyURL: "https://shop.example",
			Settings: keys.Settings(name, "https://psp.example", false),
		})
	}
	made, err := providers.All(configured, deps(nil))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range made {
		if p.Name() != configured[i].Provider || len(p.Methods()) == 0 || p.Location() == nil {
			t.Errorf("%d: %s has %v", i, p.Name(), p.Methods())
		}
	}
}

func TestWhatIsWrongNamesItsField(t *testing.T) {
	dir := t.TempDir()
	keys, err := psp.GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.WriteSecrets(dir); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(dir, "sandbox")
	if err := os.WriteFile(secret, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	const shop = "https://shop.example"
	_, err = providers.All([]config.Payment{
		{Provider: "paypal"},
		{Provider: "wechatpay", NotifyURL: "/relative", Settings: map[string]string{
			"appID": "wx1", "publicKeyID": "1", "methods": "jsapi,fax", "colour": "red",
		}},
		{Provider: "alipay", NotifyURL: shop, SecretDir: dir},
		{Provider: "stripe", SecretDir: filepath.Join(dir, "stripe"), Settings: map[string]string{"baseURL": "psp.example"}},
		{Provider: "stripe"},
		{Provider: "sandbox", SecretFile: secret, PublicURL: shop},
	}, deps(new(pgxpool.Pool)))
	if err == nil {
		t.Fatal("wrong settings were taken")
	}
	for _, want := range []string{
		"payments[0].provider: must be sandbox, wechatpay, alipay or stripe",
		"payments[1].settings.merchantID: must be set", "payments[1].settings.merchantSerial: must be set",
		"payments[1].settings.methods: must be some of jsapi, native, h5", "payments[1].settings.colour: no such setting",
		"payments[1].settings.publicKeyID: must begin with PUB_KEY_ID_", "payments[1].notifyURL: must be an absolute",
		"payments[1].secretDir: must be set: it holds the file apiclient_key.pem",
		"payments[2].settings.appID: must be set", "payments[2].secretDir/app_private_key.pem: there is no such file",
		"payments[3].settings.baseURL: must be an absolute", "payments[3].settings.publishableKey: must be set",
		"payments[4].provider: stripe is configured twice",
		"payments[5].secretFile: must have at least 16 bytes", "payments[5].notifyURL: must be an absolute",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !strings.HasPrefix(line, "payments[") {
			t.Errorf("%q names no field", line)
		}
	}
	var fields config.FieldErrors
	if !errors.As(err, &fields) || len(fields) != strings.Count(err.Error(), "\n")+1 {
		t.Errorf("%d errors of fields in\n%v", len(fields), err)
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cause of a missing file is lost: %v", err)
	}
}

// What [config.Config.Validate] knows of the providers' settings and files is what the providers read.
func TestTheConfigurationKnowsWhatProvidersRead(t *testing.T) {
	for _, provider := range []string{"sandbox", "wechatpay", "alipay", "stripe"} {
		for _, settings := range []map[string]string{
			nil, {"colour": "red"}, {"publicKeyID": "PUB_KEY_ID_1"}, {"methods": ""}, {"currencies": ""}, {"baseURL": ""},
			{"gatewayURL": ""}, {"appID": "1"}, {"sellerID": "1"}, {"merchantID": "1"}, {"merchantSerial": "1"},
			{"publishableKey": "pk_1"},
		} {
			c := config.Payment{
				Provider: provider, Settings: settings, NotifyURL: "https://shop.example", SecretDir: t.TempDir(),
			}
			read, files := map[string]bool{}, []string{}
			_, err := providers.New(c, deps(new(pgxpool.Pool)))
			for _, field := range config.Within("payments[0]", err) {
				name, isFile := strings.CutPrefix(field.Path, "payments[0].secretDir/")
				if isFile {
					files = append(files, name)
				} else if strings.HasPrefix(field.Path, "payments[0].settings.") {
					read[field.Path] = true
				}
			}
			known := map[string]bool{}
			all := config.Default()
			all.Payments = []config.Payment{c}
			var fields config.FieldErrors
			if !errors.As(all.Validate(config.RoleStandard), &fields) {
				t.Fatal("the rest of the configuration is empty, and valid")
			}
			for _, field := range fields {
				if strings.HasPrefix(field.Path, "payments[0].settings.") {
					known[field.Path] = true
				}
			}
			if provider == "sandbox" {
				// It does not look at them.
				read = map[string]bool{}
				for name := range settings {
					read["payments[0].settings."+name] = true
				}
			}
			if diff := cmp.Diff(read, known); diff != "" {
				t.Errorf("%s with %v: read and known settings: %s", provider, settings, diff)
			}
			slices.Sort(files)
			want := append([]string{}, c.Files()...)
			slices.Sort(want)
			if diff := cmp.Diff(files, want); diff != "" {
				t.Errorf("%s with %v: read and known files: %s", provider, settings, diff)
			}
		}
	}
}

func TestASecretThatIsNotThereKeepsItsCause(t *testing.T) {
	_, err := providers.All([]config.Payment{{Provider: "sandbox", SecretFile: "/nowhere"}}, deps(nil))
	var field *config.FieldError
	if !errors.As(err, &field) || field.Path != "payments[0].secretFile" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want that payments[0].secretFile does not exist", err)
	}
}
