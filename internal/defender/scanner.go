package defender

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// scanner is the part of a decoder that does not depend on the row's type.
type scanner struct {
	root    *names
	keys    []*field
	texts   *interner
	scratch []byte
	partial bool // some members are not wanted

	reason  string // why the row must be rejected: the first reason counts
	unknown []Member
	arena   []byte // the bytes of unknown

	lineBuffer  bytes.Buffer
	lineDecoder jsontext.Decoder

	// Memory for members that hold more than a scalar.
	address     IPAddress
	addresses   []IPAddress
	gathered    []Gathered
	inner       []byte
	innerBuffer bytes.Buffer
	innerReader jsontext.Decoder
}

func (s *scanner) reset() {
	s.reason = ""
	s.unknown, s.arena = s.unknown[:0], s.arena[:0]
}

// restrict decodes the ids and the members named only; none named = all.
func (s *scanner) restrict(members []string) {
	s.partial = len(members) > 0
	for name, f := range s.root.fields {
		f.unwanted = s.partial && !slices.Contains(s.keys, f) && !slices.ContainsFunc(members, func(wanted string) bool { return fold(wanted) == name })
	}
}

func (s *scanner) reject(reason string) {
	if s.reason == "" {
		s.reason = reason
	}
}

// key is the row's id; "" where it has none.
func (s *scanner) key() string {
	for _, f := range s.keys {
		if f.text.Valid && f.text.Value != "" {
			return f.text.Value
		}
	}
	return ""
}

// machine is the id of the row's machine; "" where it cannot be told.
func (s *scanner) machine() string {
	if s.keys[0].machine {
		return s.key()
	}
	return ""
}

// object reads an object's members into the fields they are for.
func (s *scanner) object(dec *jsontext.Decoder, n *names) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	at := &n.start
	for dec.PeekKind() != '}' {
		name, err := dec.ReadValue()
		if err != nil {
			return err
		}
		at = n.find(name, at)
		if err := s.member(dec, at); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// member reads one member's value.
func (s *scanner) member(dec *jsontext.Decoder, at *spelling) error {
	f := at.field
	if f != nil && f.kind >= textsKind && !f.unwanted {
		switch next := dec.PeekKind(); {
		case f.kind == objectKind && next == '{':
			return s.object(dec, f.members)
		case f.kind == textsKind && next == '[':
			return s.readTexts(dec, f)
		case f.kind == addressesKind && next == '[':
			return s.readAddresses(dec, f)
		}
	}
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch {
	case f != nil:
		if !f.unwanted {
			s.set(f, value)
		}
	case !at.annotation && !s.partial:
		from := len(s.arena)
		s.arena = append(s.arena, value...)
		s.unknown = append(s.unknown, Member{Name: at.name, Value: s.arena[from:len(s.arena):len(s.arena)]})
	}
	return nil
}

// readTexts reads an array of strings. Nulls in it are left out.
func (s *scanner) readTexts(dec *jsontext.Decoder, f *field) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	if f.list == nil {
		f.list = make([]string, 0, 4) // nil is for a list that is not given
	}
	f.list = f.list[:0]
	for dec.PeekKind() != ']' {
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if value[0] == 'n' {
			continue
		}
		text, ok := s.scalar(value)
		if !ok {
			s.bad(f, value, "an element is not a text")
			continue
		}
		f.list = append(f.list, s.texts.get(text))
	}
	*f.texts = f.list
	_, err := dec.ReadToken()
	return err
}

// readAddresses reads an array of objects.
func (s *scanner) readAddresses(dec *jsontext.Decoder, f *field) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	if s.addresses == nil {
		s.addresses = make([]IPAddress, 0, 4)
	}
	s.addresses = s.addresses[:0]
	for dec.PeekKind() != ']' {
		if dec.PeekKind() != '{' {
			value, err := dec.ReadValue()
			if err != nil {
				return err
			}
			s.bad(f, value, "an element is not an object")
			continue
		}
		s.address = IPAddress{}
		if err := s.object(dec, f.members); err != nil {
			return err
		}
		s.addresses = append(s.addresses, s.address)
	}
	*f.addresses = s.addresses
	_, err := dec.ReadToken()
	return err
}

// set decodes a value into its field, or rejects the row. Null leaves the field
// without a value.
func (s *scanner) set(f *field, value []byte) {
	if value[0] == 'n' {
		return
	}
	if f.kind == gatheredKind {
		s.readGathered(f, value)
		return
	}
	text, ok := s.scalar(value)
	if !ok || f.text == nil && f.time == nil {
		s.bad(f, value, "it has the wrong type or is too large")
		return
	}
	if f.kind == textKind {
		f.text.Value, f.text.Valid = s.keep(f, text), true
		return
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return // an empty text where a number, boolean or date belongs is no value
	}
	switch f.kind {
	case numberKind:
		if ok = isNumber(text); ok {
			text, ok = decimal(text, s.scratch)
		}
		if !ok {
			s.bad(f, value, "it is not a number")
			return
		}
		f.text.Value, f.text.Valid = s.keep(f, text), true
	case booleanKind:
		switch {
		case bytes.EqualFold(text, []byte("true")):
			*f.text = Text{"true", true}
		case bytes.EqualFold(text, []byte("false")):
			*f.text = Text{"false", true}
		default:
			s.bad(f, value, "it is neither true nor false")
		}
	case dateKind, timeKind:
		t, ok := parseTime(text)
		switch {
		case !ok || value[0] != '"':
			s.bad(f, value, "it is not a time")
		case f.kind == timeKind:
			*f.time = t
		case !t.IsZero():
			f.text.Value, f.text.Valid = s.keep(f, t.AppendFormat(s.scratch[:0], time.RFC3339Nano)), true
		}
	}
}

// scalar is the text that a JSON string, number or boolean stands for. It is
// valid until the next call and until dec moves on.
func (s *scanner) scalar(value []byte) (text []byte, ok bool) {
	switch value[0] {
	case '"':
		if content := value[1 : len(value)-1]; bytes.IndexByte(content, '\\') < 0 && utf8.Valid(content) {
			return content, true
		}
		s.scratch, _ = jsontext.AppendUnquote(s.scratch[:0], value)
		return s.scratch, true
	case '{', '[', 'n':
		return nil, false
	case 't', 'f':
		return value, true
	}
	return decimal(value, s.scratch)
}

// keep makes a string of a text, without allocating where it is known already.
func (s *scanner) keep(f *field, text []byte) string {
	switch {
	case f.last == string(text):
	case f.unique:
		f.last = string(text)
	default:
		f.last = s.texts.get(text)
	}
	return f.last
}

// bad rejects the row for one member's value.
func (s *scanner) bad(f *field, value []byte, why string) {
	if s.reason == "" {
		s.reject(fmt.Sprintf("%s: %s: %s", f.name, why, short(value)))
	}
}

// short is the beginning of a value, for a message.
func short(value []byte) string {
	if len(value) <= 60 {
		return strings.ToValidUTF8(string(value), "�")
	}
	return strings.ToValidUTF8(string(value[:60]), "") + "…"
}
