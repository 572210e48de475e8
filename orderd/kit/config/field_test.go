package config_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/kit/config"
)

func TestWithin(t *testing.T) {
	missing := fmt.Errorf("reading secret: %w", os.ErrNotExist)
	var several config.FieldErrors
	several.Need(true, "settings.sellerID", "must be set")
	several.Need(false, "settings.appID", "must be set")
	several.Add("secretFile", missing)
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"several fields", several.Err(), "part.settings.appID: must be set\n" +
			"part.secretFile: reading secret: file does not exist"},
		{"one field", &config.FieldError{Path: "secretFile", Err: missing},
			"part.secretFile: reading secret: file does not exist"},
		{"no field", missing, "part: reading secret: file does not exist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := config.Within("part", tt.err).Err()
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
			if !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%v has lost its cause", err)
			}
			var field *config.FieldError
			if !errors.As(err, &field) {
				t.Errorf("%v names no field", err)
			}
		})
	}
	if err := config.Within("part", config.FieldErrors(nil).Err()).Err(); err != nil {
		t.Errorf("nothing is wrong: %v", err)
	}
}

func TestEverythingThatIsWrongNamesItsField(t *testing.T) {
	for _, role := range config.Roles() {
		err := config.Config{}.Validate(role)
		var several config.FieldErrors
		if !errors.As(err, &several) || len(several) < 5 {
			t.Fatalf("%s: %v, want several fields", role, err)
		}
		for _, field := range several {
			if field.Path == "" || field.Err == nil {
				t.Errorf("%s: %v", role, field)
			}
		}
	}
}
