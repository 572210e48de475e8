// Package credentials reads what a payment provider is configured with: settings that are no
// secrets, and secrets as files of one directory. It collects every mistake, each with the field's
// name and never with its value.
package credentials

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/orderd-dev/orderd/orderd/kit/config"
)

// maxFileBytes bounds a secret: a certificate chain is a few KiB.
const maxFileBytes = 64 << 10

// Reader reads one provider's configuration.
type Reader struct {
	settings map[string]string
	dir      string
	asked    map[string]bool
	errs     config.FieldErrors
}

// NewReader reads the settings and the directory's files.
func NewReader(settings map[string]string, dir string) *Reader {
	return &Reader{settings: settings, dir: dir, asked: map[string]bool{}}
}

// Fail records that a field, such as settings.appID, is wrong.
func (r *Reader) Fail(field, why string) { r.errs.Add(field, errors.New(why)) }

// Setting is one that has to be set.
func (r *Reader) Setting(name string) string {
	value := r.Optional(name, "")
	if value == "" {
		r.Fail("settings."+name, "must be set")
	}
	return value
}

// Optional is a setting with a default.
func (r *Reader) Optional(name, otherwise string) string {
	r.asked[name] = true
	if value := strings.TrimSpace(r.settings[name]); value != "" {
		return value
	}
	return otherwise
}

// URL is a setting with a default that has to be an absolute http or https URL; it comes without a
// slash at its end.
func (r *Reader) URL(name, otherwise string) string {
	return r.AbsoluteURL("settings."+name, r.Optional(name, otherwise))
}

// AbsoluteURL checks a URL that comes from elsewhere, such as publicURL.
func (r *Reader) AbsoluteURL(field, value string) string {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		r.Fail(field, "must be an absolute http or https URL")
	}
	return strings.TrimSuffix(value, "/")
}

// List is a setting of names joined by commas, each of which has to be one of allowed; all of them
// if it is not set.
func (r *Reader) List(name string, allowed []string) []string {
	text := r.Optional(name, "")
	if text == "" {
		return allowed
	}
	var out []string
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		switch {
		case !slices.Contains(allowed, item):
			r.Fail("settings."+name, "must be some of "+strings.Join(allowed, ", ")+", joined by commas")
			return nil
		case !slices.Contains(out, item):
			out = append(out, item)
		}
	}
	return out
}

// File is a secret's content without surrounding white space, which has to be there.
func (r *Reader) File(name string) []byte {
	if r.dir == "" {
		r.Fail("secretDir", "must be set: it holds the file "+name)
		return nil
	}
	field := "secretDir/" + name
	info, err := os.Stat(filepath.Join(r.dir, name))
	switch {
	case errors.Is(err, os.ErrNotExist):
		r.errs.Add(field, fmt.Errorf("there is no such file: %w", os.ErrNotExist))
		return nil
	case err != nil:
		r.errs.Add(field, err)
		return nil
	case info.Size() > maxFileBytes:
		r.Fail(field, "is too large for a secret")
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.errs.Add(field, err)
		return nil
	}
	text := []byte(strings.TrimSpace(string(raw)))
	if len(text) == 0 {
		r.Fail(field, "is empty")
	}
	return text
}

// Parse reads a secret and parses it.
func Parse[T any](r *Reader, name string, parse func([]byte) (T, error)) T {
	var zero T
	raw := r.File(name)
	if len(raw) == 0 {
		return zero
	}
	value, err := parse(raw)
	if err != nil {
		r.errs.Add("secretDir/"+name, err)
		return zero
	}
	return value
}

// Err has every mistake so far as [config.FieldErrors], settings that nobody asked for among them.
func (r *Reader) Err() error {
	errs := slices.Clone(r.errs)
	for _, name := range slices.Sorted(maps.Keys(r.settings)) {
		if !r.asked[name] {
			errs.Add("settings."+name, errors.New("no such setting"))
		}
	}
	return errs.Err()
}
