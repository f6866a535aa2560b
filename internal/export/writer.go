package export

import (
	"bufio"
	"io"
	"strings"

	"muster/internal/mapping"
)

// rowWriter writes rows in one format.
type rowWriter interface {
	header(columns []string) error
	row(cells []cell) error
	flush() error
}

func newWriter(w io.Writer, o Options) rowWriter {
	out := bufio.NewWriterSize(w, 64<<10)
	if o.Format == "csv" {
		return &csvWriter{out: out, guard: o.ForSpreadsheet}
	}
	return &ndjsonWriter{out: out}
}

// ndjsonWriter writes one JSON object a line, members in the order of the columns.
type ndjsonWriter struct {
	out   *bufio.Writer
	names [][]byte // with opening brace or comma, and colon
	buf   []byte
}

func (w *ndjsonWriter) header(columns []string) error {
	for i, name := range columns {
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
		buf = append(buf, w.names[i]...)
		switch c := &cells[i]; c.kind {
		case plain:
			buf = mapping.AppendString(buf, c.text)
		case jsonText:
			buf = append(buf, c.text...)
		default:
			buf = append(buf, "null"...)
		}
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
}

func (w *csvWriter) header(columns []string) error {
	cells := make([]cell, len(columns))
	for i, name := range columns {
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
		buf = w.cell(buf, cells[i].text)
	}
	w.buf = append(buf, '\r', '\n')
	_, err := w.out.Write(w.buf)
	return err
}

func (w *csvWriter) cell(buf []byte, s string) []byte {
	if w.guard && s != "" && strings.IndexByte("=+-@\t\r", s[0]) >= 0 {
		s = "'" + s
	}
	if !strings.ContainsAny(s, ",\"\r\n") {
		return append(buf, s...)
	}
	buf = append(buf, '"')
	for {
		before, after, quote := strings.Cut(s, `"`)
		buf = append(buf, before...)
		if !quote {
			return append(buf, '"')
		}
		buf, s = append(buf, '"', '"'), after
	}
}

func (w *csvWriter) flush() error { return w.out.Flush() }
