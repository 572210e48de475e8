package bulk

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A spreadsheet takes a cell for a formula that begins with one of these, or with one of their full-width forms.
const formula = "=+-@\t\r\n＝＋－＠"

// runs tells whether a spreadsheet would run a cell.
func runs(cell string) bool {
	r, _ := utf8.DecodeRuneInString(cell)
	return cell != "" && strings.ContainsRune(formula, r)
}

// harmless is a cell as it is written: with an apostrophe before what a spreadsheet would run. [original] undoes it,
// of any cell.
func harmless(cell string) string {
	if runs(cell) || strings.HasPrefix(cell, "'") {
		return "'" + cell
	}
	return cell
}

// original is a cell without the apostrophe that [harmless] put before it.
func original(cell string) string {
	if rest, ok := strings.CutPrefix(cell, "'"); ok && (runs(rest) || strings.HasPrefix(rest, "'")) {
		return rest
	}
	return cell
}

// plain is what a cell means that is a number, a name or a code: without blanks around it, the apostrophe and the ="…"
// by which people make a spreadsheet leave it as it is.
func plain(cell string) string {
	cell = trim(cell)
	cell = trim(strings.TrimPrefix(cell, "'"))
	if rest, ok := strings.CutPrefix(cell, `="`); ok {
		if inner, ok := strings.CutSuffix(rest, `"`); ok {
			cell = trim(inner)
		}
	}
	return cell
}

// trim takes blanks away on both ends, also those that only spreadsheets write.
func trim(text string) string {
	return strings.TrimFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || r == '\u200b' || r == '\u200e' || r == '\u200f' || r == '\ufeff'
	})
}

// without blanks anywhere, as people write long numbers in groups.
func withoutBlanks(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
}

// rounded is a long number as a spreadsheet shows and saves it: most of its digits are lost.
var rounded = regexp.MustCompile(`^[+-]?\d(?:[.,]\d+)?[eE]\+\d+$|^[+-]?\d[.,]\d+[eE]\d+$`)
