package export

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"muster/internal/mapping"
)

// rowWriter writes rows in one format.
type rowWriter interface {
	header(columns []heading) error
	row(cells []cell) error
	flush() error
}

// buffered is how many bytes of text are gathered before they are written.
const buffered = 64 << 10

func newWriter(w io.Writer, o Options) rowWriter {
	switch o.Format {
	case "parquet":
		return &parquetWriter{to: w, name: o.Name}
	case "csv":
		return &csvWriter{out: bufio.NewWriterSize(w, buffered), guard: o.ForSpreadsheet}
	default:
		return &ndjsonWriter{out: bufio.NewWriterSize(w, buffered)}
	}
}

// ndjsonWriter writes one JSON object a line, members in the order of the columns.
type ndjsonWriter struct {
	out   *bufio.Writer
	names [][]byte // with opening brace or comma, and colon
	buf   []byte
}

func (w *ndjsonWriter) header(columns []heading) error {
	for i, name := range names(columns) {
		before := byte(',')
		if i == 0 {
			before = '{'
		}
		w.names = append(w.names, append(mapping.AppendString([]byte{before}, name), ':'))
	}
	return nil
}

func (w *ndjsonWriter) row(cells []cell) error {
	buf := w.buf[:0]
	for i := range cells {
		buf = cells[i].appendJSON(append(buf, w.names[i]...))
	}
	w.buf = append(buf, '}', '\n')
	_, err := w.out.Write(w.buf)
	return err
}

func (w *ndjsonWriter) flush() error { return w.out.Flush() }

// csvWriter writes RFC 4180: comma, CRLF, quotes where needed. Unlike encoding/csv it
// leaves line breaks inside a cell as they are.
type csvWriter struct {
	out   *bufio.Writer
	guard bool
	buf   []byte
	text  []byte // of one cell
}

func (w *csvWriter) header(columns []heading) error {
	cells := make([]cell, len(columns))
	for i, name := range names(columns) {
		cells[i] = text(name)
	}
	return w.row(cells)
}

func (w *csvWriter) row(cells []cell) error {
	buf := w.buf[:0]
	for i := range cells {
		if i > 0 {
			buf = append(buf, ',')
		}
		w.text = cells[i].appendText(w.text[:0])
		buf = w.cell(buf, w.text)
	}
	w.buf = append(buf, '\r', '\n')
	_, err := w.out.Write(w.buf)
	return err
}

func (w *csvWriter) cell(buf, text []byte) []byte {
	guarded := w.guard && len(text) > 0 && strings.IndexByte("=+-@\t\r", text[0]) >= 0
	quoted := bytes.ContainsAny(text, ",\"\r\n")
	if quoted {
		buf = append(buf, '"')
	}
	if guarded {
		buf = append(buf, '\'')
	}
	if !quoted {
		return append(buf, text...)
	}
	for {
		before, after, quote := bytes.Cut(text, []byte{'"'})
		buf = append(buf, before...)
		if !quote {
			return append(buf, '"')
		}
		buf, text = append(buf, '"', '"'), after
	}
}

func (w *csvWriter) flush() error { return w.out.Flush() }
