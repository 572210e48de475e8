package bulk

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// cells of a document's rows.
func cells(d document) [][]string {
	out := make([][]string, len(d.rows))
	for i, r := range d.rows {
		out[i] = r.cells
	}
	return out
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, kind, file string
		header           []string
		rows             [][]string
		lines            []int64
	}{
		{
			"commas", "SHIP", "order,tracking_number,carrier\n1,A,dhl\n2,B,ups\n",
			[]string{"order", "tracking_number", "carrier"}, [][]string{{"1", "A", "dhl"}, {"2", "B", "ups"}}, []int64{2, 3},
		},
		{
			"byte order mark, semicolons, CRLF, quotes, other columns, no end of the last line", "SHIP",
			"\ufeffOrder Number;\"Tracking-Number\";comment\r\n1;A;\"a;b,\"\"c\"\"\r\nd\"\r\n2;B;",
			[]string{"Order Number", "Tracking-Number", "comment"},
			[][]string{{"1", "A", "a;b,\"c\"\nd"}, {"2", "B", ""}}, []int64{2, 4},
		},
		{"blank rows", "CLOSE", "order,x\n\n,\n1,\n , \u00a0\n", []string{"order", "x"}, [][]string{{"1", ""}}, []int64{4}},
		{"one column", "CLOSE", "order\n1\n", []string{"order"}, [][]string{{"1"}}, []int64{2}},
		{
			"cells that are kept as text by =\"…\"", "SHIP",
			"order,tracking_number,x\n=\"1\",=\"00,1\",\"a,=\"\",b\"\r\n2,\"=\"\"3\"\"\",=\"4\"\r\n",
			[]string{"order", "tracking_number", "x"},
			[][]string{{`="1"`, `="00,1"`, `a,=",b`}, {"2", `="3"`, `="4"`}}, []int64{2, 3},
		},
		{
			"an export: its columns go, and the apostrophes", "SHIP",
			"order,tracking_number,'=x,result,Message\n'-1,'+2,''3,FAILED,no\n4,'5,6,,\n",
			[]string{"order", "tracking_number", "=x"}, [][]string{{"-1", "+2", "'3"}, {"4", "'5", "6"}}, []int64{2, 3},
		},
		{
			"columns of one's own with the same names stay", "NOTE", "order,result,text,message\n1,r,t,m\n",
			[]string{"order", "result", "text", "message"}, [][]string{{"1", "r", "t", "m"}}, []int64{2},
		},
		{
			"a comma in the only name that has one", "CLOSE", "order;\"a,b\"\n1;c,d\n",
			[]string{"order", "a,b"}, [][]string{{"1", "c,d"}}, []int64{2},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := parse([]byte(tt.file), kindNamed(tt.kind))
			if err != nil {
				t.Fatal(err)
			}
			var lines []int64
			for i, r := range d.rows {
				lines = append(lines, r.line)
				if r.number != int64(i+1) || r.state != rowLeft {
					t.Errorf("row %d is %d, %s", i+1, r.number, r.state)
				}
			}
			if diff := cmp.Diff([]any{tt.header, tt.rows, tt.lines}, []any{d.header, cells(d), lines}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	wide := strings.Repeat("x,", maxColumns) + "order\n"
	for _, tt := range []struct{ name, kind, file, line, problem string }{
		{"nothing", "CLOSE", "", "1", problemEmpty},
		{"only a mark", "CLOSE", "\ufeff\n\n", "1", problemEmpty},
		{"only a header", "CLOSE", "order\n", "1", problemEmpty},
		{"only blank rows", "CLOSE", "order,x\n,\n", "1", problemEmpty},
		{"UTF-16", "CLOSE", "\xff\xfeo\x00r\x00", "1", problemNotUTF8},
		{"GBK in a row", "NOTE", "order,text\n1,ok\n2,\xb2\xe8\n", "3", problemNotUTF8},
		{"a zero byte", "NOTE", "order,text\n1,a\x00\n", "2", problemZeroByte},
		{"a cell too few", "NOTE", "order,text\n1,a\n2\n", "3", problemFields},
		{"a cell too many", "NOTE", "order,text\n1,a,b\n", "2", problemFields},
		{"rows of the other delimiter", "NOTE", "order,text\n1;a\n", "2", problemFields},
		{"a quote inside", "NOTE", "order,text\n1,a\"b\n", "2", problemQuotes},
		{"a quote that does not end", "NOTE", "order,text\n1,\"a\n2,b\n", "3", problemQuotes},
		{"no such column", "SHIP", "order,carrier\n1,dhl\n", "1", problemColumnMissing},
		{"no such column, with semicolons", "SHIP", "order;carrier\n1;dhl\n", "1", problemColumnMissing},
		{"neither column", "TAG", "order,tags\n1,a\n", "1", problemColumnMissing},
		{"twice", "NOTE", "order,text,Text\n1,a,b\n", "1", problemColumnTwice},
		{"a long cell", "NOTE", "order,text\n1,a\n2," + strings.Repeat("a", maxCellBytes+1) + "\n", "3", problemTooLong},
		{"a long name", "CLOSE", "order," + strings.Repeat("a", maxNameBytes+1) + "\n1,2\n", "1", problemTooLong},
		{"many columns", "CLOSE", wide + wide, "1", problemTooManyCells},
		{"millions of cells in a row", "CLOSE", "order\n1\n" + strings.Repeat(";", 3_000_000), "3", problemTooManyCells},
		{"many rows", "CLOSE", "order\n" + strings.Repeat("1\n", maxRows+1), "10002", problemTooManyRows},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse([]byte(tt.file), kindNamed(tt.kind))
			want := map[string]string{"field": "csv", "line": tt.line, "problem": tt.problem}
			if diff := cmp.Diff(want, rpcerr.Metadata(err)); diff != "" || rpcerr.Reason(err) != "FILE_INVALID" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
	for file, kind := range map[string]string{
		"order\n" + strings.Repeat("1\n", maxRows):                                    "CLOSE",
		"order,text\n1," + strings.Repeat("a", maxCellBytes) + "\n":                   "NOTE",
		"order,text\n1,\"" + strings.Repeat(",", maxCellBytes) + "\"\n":               "NOTE",
		strings.Repeat("x,", maxColumns-1) + "order\n" + wide[:2*maxColumns-1] + "\n": "CLOSE",
	} {
		if _, err := parse([]byte(file), kindNamed(kind)); err != nil {
			t.Errorf("as much as may be: %v", err)
		}
	}
}

func TestTheFirstOfAColumnsNamesCounts(t *testing.T) {
	for _, tt := range []struct {
		header []string
		want   int
	}{
		{[]string{"order_id", "order_number"}, 1},
		{[]string{"order_id", "Number"}, 1},
		{[]string{"x", "ORDER ID"}, 1},
		{[]string{"order_id", "order_number", " order "}, 2},
	} {
		found, err := kindNamed("CLOSE").columns(tt.header)
		if err != nil || found[columnOrder] != tt.want {
			t.Errorf("%v: %d, %v", tt.header, found[columnOrder], err)
		}
	}
}

func TestNoCellIsAFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.OneOf(rapid.String(), rapid.StringMatching(`['=+\-@\t\r\n＝＠！]{0,4}[a-z"]{0,3}`)).Draw(t, "cell")
		written := harmless(cell)
		if runs(written) {
			t.Errorf("%q is written as %q", cell, written)
		}
		if back := original(written); back != cell {
			t.Errorf("%q is written as %q and read as %q", cell, written, back)
		}
	})
}

func TestWhatSpreadsheetsRun(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "a=": "a=", "=1": "'=1", "\n=1": "'\n=1", "\r=1": "'\r=1", "＝1": "'＝1", "＠a": "'＠a", "！a": "！a", "'": "''",
	} {
		if got := harmless(cell); got != want {
			t.Errorf("%q is written as %q, want %q", cell, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	for cell, want := range map[string]string{
		"123": "123", " 123\u00a0": "123", "'00123": "00123", `="00123"`: "00123", ` '="00123" `: "00123", `="`: `="`,
		"\u200e123\ufeff": "123", "'": "", "": "", "''1": "'1",
	} {
		if got := plain(cell); got != want {
			t.Errorf("%q is %q, want %q", cell, got, want)
		}
	}
}

// file is one that people may have.
func file(t *rapid.T) document {
	word := rapid.OneOf(rapid.StringMatching(`[a-z ,;"'=+@\-\r\n\t]{0,6}`), rapid.String())
	text := rapid.Map(word, func(s string) string { return strings.ReplaceAll(s, "\x00", "") })
	d := document{comma: rapid.SampledFrom([]rune{',', ';'}).Draw(t, "comma")}
	extra := rapid.SliceOfN(rapid.Map(text, func(s string) string { return "x" + s }), 0, 3).Draw(t, "columns")
	d.header = slices.Concat(extra, []string{"Order"})
	for range rapid.IntRange(1, 4).Draw(t, "rows") {
		var record []string
		for range d.header {
			record = append(record, text.Draw(t, "cell"))
		}
		state := rapid.SampledFrom([]string{rowLeft, rowDone, rowFailed}).Draw(t, "state")
		d.rows = append(d.rows, row{cells: record, state: state,
			message: text.Draw(t, "message")})
	}
	return d
}

// saved is a file as a spreadsheet saves it that has read it: with quotes only where they have to be.
func saved(t *rapid.T, raw []byte, comma rune) []byte {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte(byteOrder))))
	r.Comma = comma
	all, err := r.ReadAll()
	if err != nil {
		t.Fatalf("a spreadsheet cannot read %q: %v", raw, err)
	}
	var out bytes.Buffer
	out.WriteString(byteOrder)
	w := csv.NewWriter(&out)
	w.Comma, w.UseCRLF = comma, true
	if err := w.WriteAll(all); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func written(d document) ([]byte, error) {
	var out bytes.Buffer
	d.writeHeader(&out)
	err := d.writeRows(&out)
	return out.Bytes(), err
}

func TestWhatIsExportedIsReadAsItWas(t *testing.T) {
	k := kindNamed("CLOSE")
	rapid.Check(t, func(t *rapid.T) {
		raw, err := written(file(t))
		if err != nil {
			t.Fatal(err)
		}
		first, err := parse(raw, k)
		if err != nil {
			// All rows are blank.
			if rpcerr.Metadata(err)["problem"] != problemEmpty {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		again, err := written(first)
		if err != nil {
			t.Fatal(err)
		}
		second, err := parse(again, k)
		if err != nil {
			t.Fatalf("%q: %v", again, err)
		}
		if diff := cmp.Diff([]any{first.header, cells(first)}, []any{second.header, cells(second)}); diff != "" {
			t.Fatalf("%q: %s", again, diff)
		}
		if first.comma != second.comma {
			t.Fatalf("%q has %q between its cells, not %q", again, second.comma, first.comma)
		}
		// A name with the other delimiter may be taken for two once its quotes are gone.
		if slices.ContainsFunc(first.header, func(name string) bool { return strings.ContainsAny(name, ",;") }) {
			return
		}
		third, err := parse(saved(t, again, first.comma), k)
		if err != nil {
			t.Fatalf("saved, %q: %v", again, err)
		}
		if diff := cmp.Diff([]any{first.header, cells(first)}, []any{third.header, cells(third)}); diff != "" {
			t.Fatalf("saved, %q: %s", again, diff)
		}
	})
}

// A file is refused for what it is, or read, written and read as the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"order,x\n1,2\n", "\ufefforder;x\r\n=\"1\";\"a\"\"b\r\n\"\r\n", "order\n'=1\n''\n",
		"order,\"a;b\"\n1,\"\r\n\"\n", "order\n\r\r\n",
		"order,x,result,message\n1,,,\n", "order,=\"\n1,=\"\n", "order,x\n1,=\"a\"b\n", "order;a,order\n1;2\n",
	} {
		f.Add([]byte(seed))
	}
	k := kindNamed("CLOSE")
	f.Fuzz(func(t *testing.T, raw []byte) {
		first, err := parse(raw, k)
		if err != nil {
			if rpcerr.Reason(err) != "FILE_INVALID" {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		again, err := written(first)
		if err != nil {
			t.Fatal(err)
		}
		second, err := parse(again, k)
		if err != nil {
			t.Fatalf("%q becomes %q: %v", raw, again, err)
		}
		if diff := cmp.Diff([]any{first.header, cells(first)}, []any{second.header, cells(second)}); diff != "" {
			t.Fatalf("%q becomes %q: %s", raw, again, diff)
		}
		r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(again, []byte(byteOrder))))
		r.Comma = first.comma
		for {
			record, err := r.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%q: %v", again, err)
			}
			for _, cell := range record {
				if runs(cell) {
					t.Fatalf("%q has the formula %q", again, cell)
				}
			}
		}
	})
}
