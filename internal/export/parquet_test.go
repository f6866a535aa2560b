package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"muster"
	"muster/internal/mapping"
)

// readParquet reads a file by what it says of itself, as rows of NDJSON would decode.
func readParquet(t testing.TB, raw []byte) (columns []string, rows []map[string]any) {
	t.Helper()
	file, err := parquet.OpenFile(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	fields := file.Schema().Fields()
	for _, f := range fields {
		columns = append(columns, f.Name())
	}
	for _, group := range file.RowGroups() {
		reader := group.Rows()
		buf := make([]parquet.Row, 100)
		for {
			n, err := reader.ReadRows(buf)
			for _, row := range buf[:n] {
				decoded := map[string]any{}
				row.Range(func(i int, values []parquet.Value) bool {
					decoded[columns[i]] = decode(t, fields[i], values)
					return true
				})
				rows = append(rows, decoded)
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := reader.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if int64(len(rows)) != file.NumRows() {
		t.Errorf("%d rows of %d", len(rows), file.NumRows())
	}
	return columns, rows
}

// decode gives one column of a row as JSON decodes it.
func decode(t testing.TB, f parquet.Field, values []parquet.Value) any {
	t.Helper()
	if !f.Leaf() {
		there := 1 // definition level of the empty list
		if !f.Optional() {
			there = 0
		}
		if values[0].IsNull() && values[0].DefinitionLevel() < there {
			return nil
		}
		texts := []any{}
		for _, v := range values {
			if !v.IsNull() {
				texts = append(texts, string(v.ByteArray()))
			}
		}
		return texts
	}
	if len(values) != 1 {
		t.Fatalf("%d values of %s", len(values), f.Name())
	}
	v := values[0]
	if v.IsNull() {
		if f.Required() {
			t.Fatalf("%s is required and null", f.Name())
		}
		return nil
	}
	switch kind := f.Type().String(); kind {
	case "STRING":
		return string(v.ByteArray())
	case "JSON":
		var value any
		if err := json.Unmarshal(v.ByteArray(), &value); err != nil {
			t.Fatalf("%s: %v in %q", f.Name(), err, v.ByteArray())
		}
		return value
	case "TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)":
		return time.UnixMicro(v.Int64()).UTC().Format(mapping.TimeLayout)
	case "INT(64,true)":
		return float64(v.Int64())
	case "DOUBLE":
		return v.Double()
	case "BOOLEAN":
		return v.Boolean()
	default:
		t.Fatalf("%s is %s", f.Name(), kind)
		return nil
	}
}

// TestParquet: every export holds the rows of NDJSON in its order, column by column in
// the contract's order, and comes out the same twice.
func TestParquet(t *testing.T) {
	f := filled(t)
	for _, name := range written {
		o := Options{Name: name, State: "all", Scope: "all"}
		want := rowsOf(t, f, o)
		o.Format = "parquet"
		raw := write(t, f, o)
		if again := write(t, f, o); again != raw {
			t.Errorf("%s: a second export of the same data differs", name)
		}
		columns, got := readParquet(t, []byte(raw))
		if diff := cmp.Diff(Columns(name), columns); diff != "" {
			t.Errorf("%s: columns (-contract +file):\n%s", name, diff)
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 {
			t.Errorf("%s: %d rows (-NDJSON +Parquet):\n%s", name, len(got), diff)
		}
		if strings.Contains(raw, "parquet-go") {
			t.Errorf("%s names the library's version, which would change its bytes", name)
		}
	}
}

// sample writes rows of cells by hand.
func sample(t testing.TB, columns []heading, rows ...[]cell) ([]byte, error) {
	t.Helper()
	var b bytes.Buffer
	w := newWriter(&b, Options{Name: "sample", Format: "parquet"})
	if err := w.header(columns); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := w.row(r); err != nil {
			return nil, err
		}
	}
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), nil
}

// TestParquetValues: what a value may be at its edges comes back as it went in.
func TestParquetValues(t *testing.T) {
	raw := func(s string) cell { return cell{kind: jsonText, text: s} }
	early := time.Date(1601, 1, 1, 0, 0, 0, 1000, time.UTC)
	for _, c := range []struct {
		form  form
		cells []cell
		want  []any
	}{
		{formText, []cell{text(""), {}, text("ä\x00\n"), text("a\xff\xfeb\ufffd"), raw("12"), raw("true")}, []any{"", nil, "ä\x00\n", "a\ufffd\ufffdb\ufffd", "12", "true"}},
		{formList, []cell{nothing, {}, list([]string{""}), list([]string{"a", "b\\"}), list([]string{"a", "b\\"}), nothing}, []any{[]any{}, nil, []any{""}, []any{"a", "b\\"}, []any{"a", "b\\"}, []any{}}},
		{formTime, []cell{instant(early), {}, text("9999-12-31T23:59:59.999999Z"), text("2026-03-01T06:00:00Z")}, []any{"1601-01-01T00:00:00.000001Z", nil, "9999-12-31T23:59:59.999999Z", "2026-03-01T06:00:00Z"}},
		{formInteger, []cell{integer(-1), {}, raw("9007199254740992")}, []any{-1.0, nil, 9007199254740992.0}},
		{formNumber, []cell{raw("0.1"), {}, raw("-0.00154"), raw("7")}, []any{0.1, nil, -0.00154, 7.0}},
		{formBoolean, []cell{boolean(true), {}, boolean(false), raw("true"), raw("false")}, []any{true, nil, false, true, false}},
		{formJSON, []cell{text(`a"b`), {}, raw(`[{"a":1}]`), raw("0.5"), boolean(false), integer(3), instant(day(0))}, []any{`a"b`, nil, []any{map[string]any{"a": 1.0}}, 0.5, false, 3.0, "2026-03-01T06:00:00Z"}},
	} {
		for _, never := range []bool{false, true} {
			var rows [][]cell
			var want []any
			for i := range c.cells {
				if !never || c.cells[i].kind != absent {
					rows, want = append(rows, c.cells[i:i+1]), append(want, c.want[i])
				}
			}
			raw, err := sample(t, []heading{{name: "x.y", form: c.form, never: never}}, rows...)
			if err != nil {
				t.Fatalf("%s: %v", c.form, err)
			}
			var got []any
			_, read := readParquet(t, raw)
			for _, row := range read {
				got = append(got, row["x.y"])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, never null %v (-want +got):\n%s", c.form, never, diff)
			}
		}
	}
}

// TestParquetMisfits: a value that is not of its column's type ends the export; it does
// not become null.
func TestParquetMisfits(t *testing.T) {
	for _, c := range []struct {
		column heading
		cell   cell
		says   string
	}{
		{heading{name: "n", form: formInteger}, text("many"), `row 2 cannot be written as Parquet: n is "many", which is not of the type integer`},
		{heading{name: "n", form: formInteger}, cell{kind: jsonText, text: "1.5"}, "n is 1.5"},
		{heading{name: "n", form: formNumber}, cell{kind: jsonText, text: "[1]"}, "n is [1], which is not of the type number"},
		{heading{name: "n", form: formNumber}, text("5"), "type number"},
		{heading{name: "b", form: formBoolean}, text("true"), "type boolean"},
		{heading{name: "t", form: formTime}, text("soon"), "type time"},
		{heading{name: "t", form: formTime}, integer(5), "type time"},
		{heading{name: "l", form: formList}, text("a"), "type list of texts"},
		{heading{name: "l", form: formList}, cell{kind: jsonText, text: `{"a":1}`}, "type list of texts"},
		{heading{name: "l", form: formList}, cell{kind: jsonText, text: "[" + strings.Repeat("1,", 50) + "1]"}, "1…, which"},
		{heading{name: "r", form: formText, never: true}, cell{}, "r is null, which is not"},
	} {
		good := map[form]cell{formInteger: integer(1), formNumber: {kind: jsonText, text: "1"}, formBoolean: boolean(true), formTime: instant(day0), formList: nothing, formText: text("")}[c.column.form]
		_, err := sample(t, []heading{c.column}, []cell{good}, []cell{c.cell})
		if e := muster.AsError(err); e == nil || e.Code != "internal" || e.Advice == "" || !strings.Contains(e.Message, c.says) {
			t.Errorf("%+v in %+v: %v", c.cell, c.column, err)
		}
	}
}

// TestParquetStreams: memory is bounded by row groups, which leave when they are large
// enough, by rows or by bytes; a reader that has gone ends the work.
func TestParquetStreams(t *testing.T) {
	columns := []heading{{name: "id", form: formInteger, never: true}, {name: "text", form: formText}}
	groups := func(rows, size int) []int64 {
		var all [][]cell
		for i := range rows {
			all = append(all, []cell{integer(int64(i)), text(fmt.Sprintf("%0*d", size, i))})
		}
		raw, err := sample(t, columns, all...)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parquet.OpenFile(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		var counts []int64
		for _, g := range file.RowGroups() {
			counts = append(counts, g.NumRows())
		}
		return counts
	}
	if got := groups(groupRows+groupRows/2, 5); len(got) != 2 || got[0] < groupRows || got[0] >= groupRows+batchRows {
		t.Errorf("groups by rows: %d", got)
	}
	if got := groups(100, groupBytes/40); len(got) != 3 || got[0] < 40 || got[0] > 45 {
		t.Errorf("groups by bytes: %d", got)
	}

	gone := errors.New("gone")
	w := newWriter(&gauge{fail: gone}, Options{Name: "sample", Format: "parquet"})
	err := w.header(columns)
	for i := 0; err == nil && i < 2*groupRows; i++ {
		err = w.row([]cell{integer(int64(i)), {}})
	}
	if !errors.Is(err, gone) {
		t.Errorf("a reader that has gone: %v", err)
	}
}
