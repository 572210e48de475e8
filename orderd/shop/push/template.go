package push

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of what a template makes; it is cut there.
const (
	maxTitle = 200
	maxBody  = 1000
)

// Template is the text of an event in a language.
type Template struct {
	Event, Language string
	Title, Body     string
	// Muted says that buyers are told nothing.
	Muted bool
	// BuiltIn ones are not stored; UpdatedAt is zero.
	BuiltIn   bool
	UpdatedAt time.Time
}

// fieldNames are what stands in braces in a text.
func fieldNames() []string {
	return []string{"amount", "item", "order_id", "promotion", "quantity", "return_id", "shipment_id", "state", "total"}
}

// ProblemError is what is wrong with a template's text.
type ProblemError struct{ Field, Text string }

// Error says so.
func (p *ProblemError) Error() string { return p.Field + ": " + p.Text }

// check returns a *ProblemError if a text cannot be rendered.
func (t Template) check() error {
	if !t.Muted && strings.TrimSpace(t.Title) == "" && strings.TrimSpace(t.Body) == "" {
		return &ProblemError{
			Field: "template.title",
			Text:  "must not be empty together with the body unless the template is muted",
		}
	}
	for field, text := range map[string]string{"template.title": t.Title, "template.body": t.Body} {
		if _, err := render(text,
			func(name string) (string, bool) { return "", slices.Contains(fieldNames(), name) }); err != nil {
			return &ProblemError{Field: field, Text: err.Error()}
		}
	}
	return nil
}

// render puts values in the place of fields in braces. A brace itself is written twice. Nothing
// else has a meaning, and values are not looked at again.
func render(text string, value func(name string) (string, bool)) (string, error) {
	var out strings.Builder
	for text != "" {
		i := strings.IndexAny(text, "{}")
		if i < 0 {
			out.WriteString(text)
			break
		}
		out.WriteString(text[:i])
		brace := text[i]
		text = text[i+1:]
		if text != "" && text[0] == brace {
			out.WriteByte(brace)
			text = text[1:]
			continue
		}
		if brace == '}' {
			return "", fmt.Errorf("a } that no { belongs to")
		}
		name, rest, ok := strings.Cut(text, "}")
		if !ok {
			return "", fmt.Errorf("a { without its }")
		}
		v, known := value(name)
		if !known {
			return "", fmt.Errorf("no field {%s}; there are %s", name, strings.Join(fieldNames(), ", "))
		}
		out.WriteString(v)
		text = rest
	}
	return out.String(), nil
}

// texts renders both texts, cut to their limits.
func (t Template) texts(fields map[string]string) (title, body string, err error) {
	value := func(name string) (string, bool) {
		return fields[name], slices.Contains(fieldNames(), name)
	}
	if title, err = render(t.Title, value); err != nil {
		return "", "", fmt.Errorf("title of %s in %s: %w", t.Event, t.Language, err)
	}
	if body, err = render(t.Body, value); err != nil {
		return "", "", fmt.Errorf("body of %s in %s: %w", t.Event, t.Language, err)
	}
	return cut(title, maxTitle), cut(body, maxBody), nil
}

// cut shortens a text to so many characters.
func cut(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}
