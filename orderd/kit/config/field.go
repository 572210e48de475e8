package config

import (
	"errors"
	"strings"
)

// FieldError says what is wrong with one field of the configuration.
type FieldError struct {
	// Path names the field by the names of the file, such as payments[1].settings.appID. In the
	// error of a part it begins at the part; [Within] puts the part before it.
	Path string
	// Err says why, without the field's value: that may be a secret.
	Err error
}

// Error has the path and why.
func (e *FieldError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap is why.
func (e *FieldError) Unwrap() error { return e.Err }

// FieldErrors are what is wrong with several fields. An error is made of them by [FieldErrors.Err].
type FieldErrors []*FieldError

// Error has a line for each field.
func (e FieldErrors) Error() string {
	lines := make([]string, len(e))
	for i, field := range e {
		lines[i] = field.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap are the errors of the fields.
func (e FieldErrors) Unwrap() []error {
	out := make([]error, len(e))
	for i, field := range e {
		out[i] = field
	}
	return out
}

// Err is nil if nothing is wrong.
func (e FieldErrors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Add notes that a field is wrong.
func (e *FieldErrors) Add(path string, err error) { *e = append(*e, &FieldError{Path: path, Err: err}) }

// Need notes that a field is wrong unless ok.
func (e *FieldErrors) Need(ok bool, path, why string) {
	if !ok {
		e.Add(path, errors.New(why))
	}
}

// Within are the errors of a part, such as payments[1], as errors of the whole: the part is put
// before the path of each field. An error of no field is the part's own. There are none if err is
// nil.
func Within(part string, err error) FieldErrors {
	var several FieldErrors
	var field *FieldError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &several):
	case errors.As(err, &field):
		several = FieldErrors{field}
	default:
		return FieldErrors{{Path: part, Err: err}}
	}
	out := make(FieldErrors, len(several))
	for i, f := range several {
		out[i] = &FieldError{Path: part + "." + f.Path, Err: f.Err}
	}
	return out
}
