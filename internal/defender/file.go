package defender

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/klauspost/compress/gzip"
)

const (
	fileBuffer = 256 << 10 // bytes read at once
	maxLine    = 64 << 20  // bytes; rows with very many paths are megabytes long
)

var bom = []byte("\xef\xbb\xbf")

// readFile makes an iterator of the rows of one export file.
func readFile[T any](ctx context.Context, c *Client, s *shape[T], f File) iter.Seq2[Row[T], error] {
	return func(yield func(Row[T], error) bool) {
		d := s.take()
		defer s.give(d)
		d.restrict(f.only)
		b := &blob{ctx: ctx, client: c, file: f}
		defer b.close()
		in, err := b.open() //nolint:contextcheck // the blob is an io.Reader and carries the context itself
		if err == nil {
			err = readLines(d, in, rowsOf(yield))
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(Row[T]{}, b.failure(err))
		}
	}
}

// readLines reads rows, one a line, packed with gzip or not, to the clean end of in.
func readLines[T any](d *decoder[T], in io.Reader, yield func(Row[T]) error) error {
	l, err := newLines(in)
	if err != nil {
		return err
	}
	for {
		line, err := l.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		row, whole := d.line(line, l.number)
		if !whole && l.open {
			return fmt.Errorf("the file ends in the middle of a row, in line %d", l.number)
		}
		if err := yield(row); err != nil {
			return err
		}
	}
}

// lines cuts a stream into lines.
type lines struct {
	in     *bufio.Reader
	long   []byte // a line longer than in's buffer
	number int
	open   bool // the line just read has no end: the stream ended first
}

// newLines looks at the first bytes: files are gzip, but were seen as plain text.
func newLines(in io.Reader) (*lines, error) {
	l := &lines{in: bufio.NewReaderSize(in, fileBuffer)}
	if magic, _ := l.in.Peek(2); string(magic) == "\x1f\x8b" {
		unpacked, err := gzip.NewReader(l.in)
		if err != nil {
			return nil, fmt.Errorf("the file is not whole gzip: %w", err)
		}
		l.in = bufio.NewReaderSize(unpacked, fileBuffer)
	}
	if start, _ := l.in.Peek(len(bom)); bytes.Equal(start, bom) {
		_, _ = l.in.Discard(len(bom))
	}
	if start, _ := l.in.Peek(64); bytes.HasPrefix(bytes.TrimSpace(start), []byte("<")) {
		return nil, errors.New("the file is a page or a message, not rows")
	}
	return l, nil
}

// next returns the next line, valid until the one after; io.EOF after the last.
func (l *lines) next() ([]byte, error) {
	l.number++
	line, err := l.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		l.long = l.long[:0]
		for errors.Is(err, bufio.ErrBufferFull) {
			if l.long = append(l.long, line...); len(l.long) > maxLine {
				return nil, fmt.Errorf("line %d of the file is longer than %d bytes", l.number, maxLine)
			}
			line, err = l.in.ReadSlice('\n')
		}
		l.long = append(l.long, line...)
		line = l.long
	}
	switch {
	case err == nil:
		return line, nil
	case err == io.EOF && len(line) > 0:
		l.open = true
		return line, nil
	case err == io.EOF:
		return nil, io.EOF
	}
	return nil, fmt.Errorf("the file does not end cleanly: %w", err)
}
