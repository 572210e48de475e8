package bulk

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const (
	maxRows      = 10_000
	maxColumns   = 64
	maxCellBytes = 8192
	maxNameBytes = 200
	byteOrder    = "\ufeff"
)

// What is wrong with a file, in the metadata problem.
const (
	problemEmpty         = "EMPTY"
	problemNotUTF8       = "NOT_UTF8"
	problemZeroByte      = "ZERO_BYTE"
	problemQuotes        = "QUOTES"
	problemFields        = "FIELDS"
	problemTooLong       = "TOO_LONG"
	problemTooManyRows   = "TOO_MANY_ROWS"
	problemTooManyCells  = "TOO_MANY_COLUMNS"
	problemColumnMissing = "COLUMN_MISSING"
	problemColumnTwice   = "COLUMN_TWICE"
)

func fileInvalid(line int, problem, text string) error {
	return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonFileInvalid,
		fmt.Sprintf("csv, line %d: %s", line, text), "field", "csv", "line", strconv.Itoa(line), "problem", problem)
}

// document is a file: what is in its cells, without what only spreadsheets need, and without the columns that an export
// has added.
type document struct {
	comma  rune
	header []string
	rows   []row
}

// exported are the columns that an export adds at the end.
var exported = []string{"result", "message"}

// parse reads a file for jobs of a kind. Rows without anything in them are left out. Errors are
// INVALID_ARGUMENT/FILE_INVALID.
func parse(raw []byte, k *kind) (document, error) {
	raw = bytes.TrimPrefix(raw, []byte(byteOrder))
	if err := checkText(raw); err != nil {
		return document{}, err
	}
	if err := checkRecords(raw); err != nil {
		return document{}, err
	}
	comma, err := delimiter(raw, k)
	if err != nil {
		return document{}, err
	}
	d := document{comma: comma}
	r := reader(raw, comma)
	// It was read before.
	header, err := r.Read()
	if err != nil {
		return document{}, unreadable(err)
	}
	own := ownColumns(header)
	d.header = cellsOf(header[:own])
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return document{}, unreadable(err)
		}
		line, _ := r.FieldPos(0)
		cells := cellsOf(record[:own])
		if blank(cells) {
			continue
		}
		if len(d.rows) == maxRows {
			return document{}, fileInvalid(line, problemTooManyRows, fmt.Sprintf("a file has %d rows at most", maxRows))
		}
		for i, cell := range cells {
			if len(cell) > maxCellBytes {
				return document{}, fileInvalid(line, problemTooLong,
					fmt.Sprintf("the cell of column %q is longer than %d bytes", d.header[i], maxCellBytes))
			}
		}
		d.rows = append(d.rows, row{number: int64(len(d.rows) + 1), line: int64(line), cells: cells, state: rowLeft})
	}
	if len(d.rows) == 0 {
		return document{}, fileInvalid(1, problemEmpty, "there are no rows below the header")
	}
	return d, nil
}

// maxDelimiters are those of one record; csv.Reader makes a cell of each, before anybody can look at how many they are.
const maxDelimiters = 10_000

// checkRecords refuses a record of more cells than anything needs, without making them.
func checkRecords(raw []byte) error {
	quoted, line, begins, commas, semicolons := false, 1, 1, 0, 0
	for _, b := range raw {
		switch {
		case b == '"':
			quoted = !quoted
		case b == '\n':
			line++
			if !quoted {
				begins, commas, semicolons = line, 0, 0
			}
		case quoted:
		case b == ',':
			commas++
		case b == ';':
			semicolons++
		}
		if max(commas, semicolons) > maxDelimiters {
			return fileInvalid(begins, problemTooManyCells, fmt.Sprintf("a file has %d columns at most", maxColumns))
		}
	}
	return nil
}

// checkText refuses what is no text of a database.
func checkText(raw []byte) error {
	line := func(at int) int { return 1 + bytes.Count(raw[:at], []byte("\n")) }
	for i := 0; i < len(raw); {
		r, size := utf8.DecodeRune(raw[i:])
		switch {
		case r == utf8.RuneError && size <= 1:
			return fileInvalid(line(i), problemNotUTF8, "this is no UTF-8; save the sheet as \"CSV UTF-8\"")
		case r == 0:
			return fileInvalid(line(i), problemZeroByte, "there is a zero byte")
		}
		i += size
	}
	return nil
}

// delimiter is what stands between the cells: that with which the header has the kind's columns. The error is about
// the one with which there are more cells.
func delimiter(raw []byte, k *kind) (rune, error) {
	var why error
	most := -1
	for _, comma := range []rune{',', ';'} {
		header, err := reader(raw, comma).Read()
		switch {
		case err != nil:
			err = unreadable(err)
		case len(header) > maxColumns:
			err = fileInvalid(1, problemTooManyCells, fmt.Sprintf("a file has %d columns at most", maxColumns))
		default:
			header = cellsOf(header[:ownColumns(header)])
			for _, name := range header {
				if len(name) > maxNameBytes {
					err = fileInvalid(1, problemTooLong, fmt.Sprintf("the name of a column is longer than %d bytes", maxNameBytes))
				}
			}
			if err == nil {
				_, err = k.columns(header)
			}
		}
		if err == nil {
			return comma, nil
		}
		if len(header) > most {
			most, why = len(header), err
		}
	}
	return 0, why
}

func reader(raw []byte, comma rune) *csv.Reader {
	r := csv.NewReader(bytes.NewReader(quoted(raw, byte(comma))))
	r.Comma = comma
	return r
}

func unreadable(err error) error {
	var parsing *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return fileInvalid(1, problemEmpty, "there is no header")
	case !errors.As(err, &parsing):
		return fmt.Errorf("reading a CSV: %w", err)
	case errors.Is(err, csv.ErrFieldCount):
		return fileInvalid(parsing.Line, problemFields, "the row has not as many cells as the header")
	}
	return fileInvalid(parsing.Line, problemQuotes,
		"a quote is where none can be: a cell with quotes has them doubled, and quotes around it")
}

// ownColumns is how many columns a header has without those that an export has added.
func ownColumns(header []string) int {
	own := len(header) - len(exported)
	if own < 1 || columnName(header[own]) != exported[0] || columnName(header[own+1]) != exported[1] {
		return len(header)
	}
	return own
}

// cellsOf are a record's cells as they are kept: a line in one ends with LF alone.
func cellsOf(record []string) []string {
	cells := make([]string, len(record))
	for i, cell := range record {
		cell = strings.ReplaceAll(cell, "\r\n", "\n")
		cells[i] = original(strings.ReplaceAll(cell, "\r", "\n"))
	}
	return cells
}

func blank(cells []string) bool {
	for _, cell := range cells {
		if trim(cell) != "" {
			return false
		}
	}
	return true
}

// quoted puts quotes around cells that are written ="…" as they stand, as a spreadsheet reads them, and leaves all else
// as it is.
func quoted(raw []byte, comma byte) []byte {
	if !bytes.Contains(raw, []byte(`="`)) {
		return raw
	}
	out := make([]byte, 0, len(raw)+len(raw)/8)
	for i := 0; i < len(raw); {
		end := cellEnd(raw, i, comma)
		cell := raw[i:end]
		if rest, ok := bytes.CutPrefix(cell, []byte(`="`)); ok {
			// With CRLF the cell's last byte may be the CR.
			inner, cr := bytes.CutSuffix(rest, []byte("\r"))
			if inner, ok = bytes.CutSuffix(inner, []byte(`"`)); ok && !bytes.Contains(inner, []byte(`"`)) {
				out = append(append(append(out, `"=""`...), inner...), `"""`...)
				if cr {
					out = append(out, '\r')
				}
				cell = nil
			}
		}
		out = append(out, cell...)
		if end < len(raw) {
			out = append(out, raw[end])
		}
		i = end + 1
	}
	return out
}

// cellEnd is the index behind the cell that begins at i: of what ends it, or of the file's end.
func cellEnd(raw []byte, i int, comma byte) int {
	if bytes.HasPrefix(raw[i:], []byte(`="`)) {
		// What is between the quotes may have the delimiter.
		if n := bytes.IndexAny(raw[i+2:], "\"\n"); n >= 0 && raw[i+2+n] == '"' {
			i += 2 + n
		}
	} else if raw[i] == '"' {
		for i++; i < len(raw); i++ {
			if raw[i] != '"' {
				continue
			}
			if i+1 == len(raw) || raw[i+1] != '"' {
				break
			}
			i++
		}
	}
	for i < len(raw) && raw[i] != comma && raw[i] != '\n' {
		i++
	}
	return i
}

// writeHeader writes what a file begins with. Each name is in quotes, so that it cannot be read with another delimiter.
func (d document) writeHeader(out *bytes.Buffer) {
	out.WriteString(byteOrder)
	for i, name := range append(append([]string(nil), d.header...), exported...) {
		if i > 0 {
			out.WriteRune(d.comma)
		}
		out.WriteString(`"` + strings.ReplaceAll(harmless(name), `"`, `""`) + `"`)
	}
	out.WriteString("\r\n")
}

// writeRows writes rows with their answers.
func (d document) writeRows(out *bytes.Buffer) error {
	w := csv.NewWriter(out)
	w.Comma, w.UseCRLF = d.comma, true
	record := make([]string, 0, len(d.header)+len(exported))
	for _, r := range d.rows {
		record = record[:0]
		for _, cell := range r.cells {
			record = append(record, harmless(cell))
		}
		result := r.state
		if result == rowLeft {
			result = ""
		}
		record = append(record, result, harmless(r.summary()))
		if err := w.Write(record); err != nil {
			return fmt.Errorf("writing a CSV: %w", err)
		}
	}
	w.Flush()
	return w.Error()
}

// summary is a row's answer in one cell.
func (r *row) summary() string {
	var parts []string
	if r.code != "" {
		parts = append(parts, r.code+"/"+r.reason)
	}
	if r.field != "" {
		parts = append(parts, r.field)
	}
	if r.message != "" {
		parts = append(parts, r.message)
	}
	return strings.Join(parts, ": ")
}
