package defender

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// shape is one row type's decoders. A decoder in use belongs to one iterator;
// afterwards it is kept, with the texts it knows, until the garbage collector
// wants the memory.
type shape[T any] struct{ pool sync.Pool }

func newShape[T any]() *shape[T] {
	s := new(shape[T])
	s.pool.New = func() any { return newDecoder[T](internedSets) }
	return s
}

func (s *shape[T]) take() *decoder[T] { return s.pool.Get().(*decoder[T]) }
func (s *shape[T]) give(d *decoder[T]) {
	d.restrict(nil)
	s.pool.Put(d)
}

// decoder reads rows of one type from JSON, one at a time, into the same memory.
type decoder[T any] struct {
	row  T
	zero T
	scanner
}

// newDecoder makes a decoder that knows about two texts a set.
func newDecoder[T any](sets int) *decoder[T] {
	d := new(decoder[T])
	d.root = d.bind(reflect.ValueOf(&d.row).Elem(), "")
	d.texts = newInterner(sets)
	d.scratch = make([]byte, 0, 256)
	return d
}

// lenient accepts what is no reason to lose a row: a name given twice (the last
// counts) and bytes that are not UTF-8 (they become U+FFFD).
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// read reads the next value of dec as a row. An error means that dec is broken;
// a row that is whole JSON but cannot be decoded comes as Rejected.
func (d *decoder[T]) read(dec *jsontext.Decoder) (Row[T], error) {
	d.row = d.zero
	d.reset()
	if dec.PeekKind() != '{' {
		if _, err := dec.ReadValue(); err != nil {
			return Row[T]{}, err
		}
		return rejected[T]("", "the row is not a JSON object"), nil
	}
	if err := d.object(dec, d.root); err != nil {
		return Row[T]{}, err
	}
	if d.key() == "" {
		d.reject(d.keys[0].name + " is missing")
	}
	if d.reason != "" {
		return rejected[T](d.machine(), d.reason), nil
	}
	return Row[T]{Value: &d.row, Unknown: d.unknown}, nil
}

func rejected[T any](machine, reason string) Row[T] {
	return Row[T]{Rejected: &Rejection{Machine: machine, Reason: reason}}
}

// line reads one line of a file as a row. A line that is not one whole JSON
// value is a rejected row too: the next line is not affected.
func (d *decoder[T]) line(line []byte, number int) (row Row[T], whole bool) {
	d.lineBuffer = *bytes.NewBuffer(line)
	d.lineDecoder.Reset(&d.lineBuffer, lenient...)
	row, err := d.read(&d.lineDecoder)
	if err == nil {
		if _, err = d.lineDecoder.ReadToken(); errors.Is(err, io.EOF) {
			return row, true
		}
		if err == nil {
			err = errors.New("something follows the row")
		}
	}
	return rejected[T]("", fmt.Sprintf("line %d is not a row in JSON: %s", number, plainError(err))), false
}

// plainError is what a JSON error says, without the package's name.
func plainError(err error) string { return strings.TrimPrefix(err.Error(), "jsontext: ") }

// page is what an answer of a list held besides its rows.
type page struct {
	rows  int
	next  string // @odata.nextLink; "" = none
	first string // the key of the first row; "" = unknown
}

// page reads a list's answer, {"value":[rows…],"@odata.nextLink":…}, and hands
// each row to yield as it comes. yield's error ends it.
func (d *decoder[T]) page(dec *jsontext.Decoder, yield func(Row[T]) error) (page, error) {
	var p page
	listed := false
	if err := expect(dec, '{', "an object"); err != nil {
		return p, err
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return p, err
		}
		switch strings.ToLower(name.String()) {
		case "value":
			listed = true
			err = d.list(dec, &p, yield)
		case "@odata.nextlink":
			var link jsontext.Token
			if link, err = dec.ReadToken(); err == nil && link.Kind() == '"' {
				p.next = link.String()
			}
		default:
			err = dec.SkipValue()
		}
		if err != nil {
			return p, err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return p, err
	}
	if !listed {
		return p, errNoList
	}
	return p, atEnd(dec)
}

var errNoList = errors.New("it has no list named value")

// list reads the array of rows.
func (d *decoder[T]) list(dec *jsontext.Decoder, p *page, yield func(Row[T]) error) error {
	if err := expect(dec, '[', "a list named value"); err != nil {
		return err
	}
	for dec.PeekKind() != ']' {
		row, err := d.read(dec)
		if err != nil {
			return err
		}
		if p.rows++; p.rows == 1 {
			p.first = d.key()
		}
		if err := yield(row); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// entity reads an answer that is one row.
func (d *decoder[T]) entity(dec *jsontext.Decoder) (Row[T], error) {
	if kind := dec.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		return Row[T]{}, errors.New("it is not an object")
	}
	row, err := d.read(dec)
	if err != nil {
		return Row[T]{}, err
	}
	return row, atEnd(dec)
}

// expect reads the token that begins an array or object.
func expect(dec *jsontext.Decoder, kind jsontext.Kind, what string) error {
	if got := dec.PeekKind(); got != kind && got != jsontext.KindInvalid {
		return fmt.Errorf("%s is missing", what)
	}
	_, err := dec.ReadToken()
	return err
}

// atEnd makes sure that the stream ended cleanly: only then its checksum and
// length were right.
func atEnd(dec *jsontext.Decoder) error {
	_, err := dec.ReadToken()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return errors.New("something follows its end")
	}
	return err
}
