package pages

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
)

// Block is a fenced piece of shell in a page, with what its last answer is to be.
type Block struct {
	page string
	// Line of the page that it begins at.
	Line int
	// Script is its text.
	Script string
	// want is the pattern in the json fence that comes next; nil: anything but an error.
	want any
	// wantLine is where that is.
	wantLine int
}

// fence is any fenced piece of a page.
type fence struct {
	language, text string
	line           int
}

var fencePattern = regexp.MustCompile("^```([a-z0-9-]*)$")

// Read returns a page's shell blocks. A json fence that is the next one after a shell
// block is what it expects.
func Read(path string) ([]Block, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fences, err := fencesOf(string(raw))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var blocks []Block
	for i, f := range fences {
		if f.language != "sh" {
			continue
		}
		b := Block{page: path, Line: f.line, Script: f.text}
		if i+1 < len(fences) && fences[i+1].language == "json" {
			b.wantLine = fences[i+1].line
			if err := json.Unmarshal([]byte(fences[i+1].text), &b.want); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, b.wantLine, err)
			}
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

func fencesOf(page string) ([]fence, error) {
	var all []fence
	var open *fence
	number := 0
	for line := range strings.Lines(page) {
		number++
		m := fencePattern.FindStringSubmatch(strings.TrimRight(line, "\n"))
		switch {
		case m == nil && open != nil:
			open.text += line
		case m != nil && open == nil:
			open = &fence{language: m[1], line: number}
		case m != nil && m[1] != "":
			return nil, fmt.Errorf("line %d: a fence in a fence", number)
		case m != nil:
			all = append(all, *open)
			open = nil
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: the fence does not end", open.line)
	}
	return all, nil
}

// Check compares what a block printed with what it is to print.
func (b Block) Check(printed []byte) error {
	answers, err := answersIn(printed)
	if err != nil {
		if b.want != nil {
			return fmt.Errorf("no JSON: %w", err)
		}
		return nil
	}
	for i, a := range answers {
		if last := i == len(answers)-1; isError(a) && (!last || b.want == nil) {
			return errors.New("an answer is an error")
		}
	}
	if b.want == nil {
		return nil
	}
	if len(answers) == 0 {
		return errors.New("there is no answer")
	}
	return match("answer", b.want, answers[len(answers)-1])
}

// answersIn are the JSON values, one after the other.
func answersIn(printed []byte) ([]any, error) {
	var all []any
	d := json.NewDecoder(bytes.NewReader(printed))
	for {
		var v any
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
}

// isError tells whether an answer is an RPC's error.
func isError(v any) bool {
	o, ok := v.(map[string]any)
	if !ok {
		return false
	}
	code, ok := o["code"].(string)
	return ok && code == strings.ToLower(code)
}

const any3 = "…"

// match compares by the rules that docs/README.md gives to readers.
func match(path string, want, got any) error {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %v, want an object", path, got)
		}
		for key, value := range w {
			if err := match(path+"."+key, value, g[key]); err != nil {
				return err
			}
		}
		return nil
	case []any:
		return matchList(path, w, got)
	case string:
		g, ok := got.(string)
		if !ok || !glob(w).MatchString(g) {
			return fmt.Errorf("%s is %v, want %q", path, got, w)
		}
		return nil
	default:
		if !reflect.DeepEqual(want, got) {
			return fmt.Errorf("%s is %v, want %v", path, got, want)
		}
		return nil
	}
}

func matchList(path string, want []any, got any) error {
	g, ok := got.([]any)
	if !ok {
		return fmt.Errorf("%s is %v, want a list", path, got)
	}
	if n := len(want); n > 0 && want[n-1] == any3 {
		want = want[:n-1]
	} else if len(g) != n {
		return fmt.Errorf("%s has %d elements, want %d", path, len(g), n)
	}
	if len(g) < len(want) {
		return fmt.Errorf("%s has %d elements, want %d or more", path, len(g), len(want))
	}
	for i := range want {
		if err := match(fmt.Sprintf("%s[%d]", path, i), want[i], g[i]); err != nil {
			return err
		}
	}
	return nil
}

func glob(pattern string) *regexp.Regexp {
	parts := strings.Split(pattern, any3)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("(?s)^" + strings.Join(parts, ".*") + "$")
}
