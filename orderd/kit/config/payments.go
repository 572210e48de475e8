package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// account is what a payment provider's package reads of [Payment], so that mistakes are known before a
// pod starts. A test of the packages holds the names.
type account struct {
	// need and may are the settings that have to be set and those that may be.
	need, may []string
	// files are the secrets in SecretDir; filesWith those that are needed with a setting.
	files     []string
	filesWith map[string]string
}

// accounts are those of the providers that have settings, by the provider's name.
var accounts = map[string]account{
	"alipay": {
		need:  []string{"appID", "sellerID"},
		may:   []string{"methods", "gatewayURL"},
		files: []string{"app_private_key.pem", "alipay_public_key.pem"},
	},
	"stripe": {
		need:  []string{"publishableKey"},
		may:   []string{"currencies", "baseURL"},
		files: []string{"secret_key", "webhook_secret"},
	},
	"wechatpay": {
		need:      []string{"merchantID", "merchantSerial", "appID"},
		may:       []string{"publicKeyID", "methods", "baseURL"},
		files:     []string{"apiclient_key.pem", "apiv3_key"},
		filesWith: map[string]string{"publicKeyID": "pub_key.pem"},
	},
}

// Files are the secrets that have to be in SecretDir.
func (p Payment) Files() []string {
	a := accounts[p.Provider]
	files := slices.Clone(a.files)
	for _, setting := range slices.Sorted(maps.Keys(a.filesWith)) {
		if isSet(p.Settings[setting]) {
			files = append(files, a.filesWith[setting])
		}
	}
	return files
}

// validate tells settings that have to be set and are not, and those that nobody reads. What is in
// them, the provider's package checks when a pod starts.
func (p Payment) validate(f *FieldErrors, path string) {
	a := accounts[p.Provider]
	for _, name := range a.need {
		f.Need(isSet(p.Settings[name]), path+".settings."+name, "must be set")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Settings)) {
		if !slices.Contains(a.need, name) && !slices.Contains(a.may, name) {
			f.Add(path+".settings."+name, errors.New(p.noSuchSetting(a)))
		}
	}
}

func (p Payment) noSuchSetting(a account) string {
	known := slices.Concat(a.need, a.may)
	if len(known) == 0 {
		return fmt.Sprintf("no such setting: %s has none", p.Provider)
	}
	return fmt.Sprintf("no such setting: %s has %s", p.Provider, strings.Join(known, ", "))
}

func isSet(value string) bool { return strings.TrimSpace(value) != "" }
