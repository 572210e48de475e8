package report

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// maxMessage is what a condition's message may have, in bytes.
	maxMessage = 32768
	// maxNote is what an event's note may have, in bytes: the API server refuses a longer one.
	maxNote = 1024
	// maxNamed is how many of a list are named.
	maxNamed = 10

	ellipsis = "…"
)

// Few lists the first of many, for a message: 1,000 SKUs are read by nobody.
func Few(list []string) string {
	if len(list) <= maxNamed {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNamed], ", "), len(list)-maxNamed)
}

// Note is text as an event may have it: at most 1,024 bytes, with an ellipsis for what is left out.
func Note(text string) string { return cut(text, maxNote) }

// cut shortens text to limit bytes. It never cuts a character in two: the API server refuses such
// text altogether.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}
