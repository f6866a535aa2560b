package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"

	"muster"
	"muster/internal/mapping"
)

// Bounds of what is held before it is written.
const (
	batchRows  = 256
	groupRows  = 120_000  // of a row group; readers work on groups side by side
	groupBytes = 32 << 20 // texts of a row group, before compression
)

// errType means that a value is of another type than its column.
var errType = errors.New("another type")

// parquetWriter writes Apache Parquet, a row group at a time. The file says nothing of
// when or by which build it was made, so that the same data is the same bytes.
type parquetWriter struct {
	to      io.Writer
	name    string
	out     *parquet.GenericWriter[any]
	columns []parquetColumn
	texts   []byte // what the values of the batch point to
	rows    int64  // written before the batch
	batch   int    // rows in columns, not yet handed on
	grouped int    // rows in the row group
	held    int    // bytes of text in it
}

// parquetColumn gathers the values of one column.
type parquetColumn struct {
	heading

	leaf    int
	present int // definition level of a value that is there
	values  []parquet.Value
	last    string // the last list, and what is in it: neighbours often share one
	listed  []string
}

func (w *parquetWriter) header(columns []heading) error {
	for i, c := range columns {
		p := parquetColumn{heading: c, leaf: i}
		if !c.never {
			p.present++
		}
		if c.form == formList {
			p.present++
		}
		w.columns = append(w.columns, p)
	}
	w.out = parquet.NewGenericWriter[any](w.to, schema(w.name, columns), parquet.Compression(&parquet.Zstd), parquet.CreatedBy("muster", "1", "parquet"))
	return nil
}

func (w *parquetWriter) row(cells []cell) error {
	for i := range cells {
		if err := w.add(&w.columns[i], &cells[i]); err != nil {
			return w.misfit(&w.columns[i], &cells[i], err)
		}
	}
	if w.batch++; w.batch < batchRows && len(w.texts) < groupBytes/8 {
		return nil
	}
	return w.hand()
}

// add turns a cell into the values of its column: one, or as many as the list is long.
func (w *parquetWriter) add(p *parquetColumn, c *cell) error {
	if c.kind == absent {
		if p.never {
			return errType
		}
		p.values = append(p.values, parquet.NullValue().Level(0, 0, p.leaf))
		return nil
	}
	if p.form == formList {
		return w.addList(p, c)
	}
	v, err := w.value(p.form, c)
	p.values = append(p.values, v.Level(0, p.present, p.leaf))
	return err
}

func (w *parquetWriter) addList(p *parquetColumn, c *cell) error {
	if c.kind != jsonText {
		return errType
	}
	if c.text != p.last || p.listed == nil {
		p.last, p.listed = c.text, []string{}
		if err := json.Unmarshal([]byte(c.text), &p.listed); err != nil {
			return err
		}
	}
	if len(p.listed) == 0 {
		p.values = append(p.values, parquet.NullValue().Level(0, p.present-1, p.leaf))
	}
	for i, s := range p.listed {
		p.values = append(p.values, w.text(append(w.texts, s...)).Level(min(i, 1), p.present, p.leaf))
	}
	return nil
}

// value is a cell that is there, as its column wants it.
func (w *parquetWriter) value(f form, c *cell) (parquet.Value, error) {
	switch {
	case f == formText && c.kind == plain:
		return w.text(appendValid(w.texts, c.text)), nil
	case f == formText, f == formJSON:
		return w.text(c.appendJSON(w.texts)), nil
	case f == formTime && c.kind == moment, f == formInteger && c.kind == whole:
		return parquet.Int64Value(c.number), nil
	case f == formTime && c.kind == plain:
		at, err := time.Parse(mapping.TimeLayout, c.text)
		return parquet.Int64Value(at.UnixMicro()), err
	case f == formInteger && c.kind == jsonText:
		n, err := strconv.ParseInt(c.text, 10, 64)
		return parquet.Int64Value(n), err
	case f == formNumber && c.kind == jsonText:
		n, err := strconv.ParseFloat(c.text, 64)
		return parquet.DoubleValue(n), err
	case f == formBoolean && c.kind == truth:
		return parquet.BooleanValue(c.number != 0), nil
	case f == formBoolean && c.kind == jsonText && (c.text == "true" || c.text == "false"):
		return parquet.BooleanValue(c.text == "true"), nil
	}
	return parquet.Value{}, errType
}

// text is a value of what was appended to texts.
func (w *parquetWriter) text(longer []byte) parquet.Value {
	v := parquet.ByteArrayValue(longer[len(w.texts):])
	w.texts = longer
	return v
}

// appendValid appends a text as NDJSON shows it: what is not UTF-8 becomes U+FFFD.
func appendValid(buf []byte, s string) []byte {
	if utf8.ValidString(s) {
		return append(buf, s...)
	}
	for _, r := range s {
		buf = utf8.AppendRune(buf, r)
	}
	return buf
}

// misfit says which value is not what its column holds: one that another version of the
// mapping has stored. Writing null in its place would lose it.
func (w *parquetWriter) misfit(p *parquetColumn, c *cell, err error) error {
	shown := []rune(string(c.appendJSON(nil)))
	if len(shown) > 40 {
		shown = append(shown[:40], '…')
	}
	return &muster.Error{
		Code:    "internal",
		Message: fmt.Sprintf("row %d cannot be written as Parquet: %s is %s, which is not of the type %s", w.rows+int64(w.batch)+1, p.name, string(shown), p.form),
		Advice:  "Gather the tenant again, whole (muster sync --full), or export NDJSON.",
		Err:     err,
	}
}

// hand passes the batch on, and the row group when it is large enough.
func (w *parquetWriter) hand() error {
	writers := w.out.ColumnWriters()
	for i := range w.columns {
		p := &w.columns[i]
		if _, err := writers[i].WriteRowValues(p.values); err != nil {
			return err
		}
		p.values = p.values[:0]
	}
	w.rows, w.grouped, w.held = w.rows+int64(w.batch), w.grouped+w.batch, w.held+len(w.texts)
	w.batch, w.texts = 0, w.texts[:0]
	if w.grouped < groupRows && w.held < groupBytes {
		return nil
	}
	w.grouped, w.held = 0, 0
	return w.out.Flush()
}

func (w *parquetWriter) flush() error {
	if w.batch > 0 {
		if err := w.hand(); err != nil {
			return err
		}
	}
	return w.out.Close()
}
