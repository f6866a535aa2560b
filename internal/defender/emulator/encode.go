package emulator

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// plan writes rows of one struct type as JSON objects. It is made once per type, so that
// a row costs no look-up of names or tags.
type plan struct {
	columns  []column
	omitNull bool // leave nulls out, as export files do
}

type column struct {
	index    int
	name     string
	key      string // `"name":`
	kind     columnKind
	optional bool  // a pointer, nil = null
	inner    *plan // of kindObject and kindObjects
}

type columnKind uint8

const (
	kindString columnKind = iota
	kindBool
	kindInteger
	kindFloat
	kindStrings
	kindObject
	kindObjects
)

// planOf reads the json tags of T. spell turns a tag into the name written.
func planOf[T any](omitNull bool, spell func(string) string) *plan {
	return planOfType(reflect.TypeFor[T](), omitNull, spell)
}

func planOfType(t reflect.Type, omitNull bool, spell func(string) string) *plan {
	p := &plan{omitNull: omitNull}
	for i := range t.NumField() {
		field := t.Field(i)
		c := column{index: i, name: spell(field.Tag.Get("json"))}
		c.key = `"` + c.name + `":`
		of := field.Type
		if of.Kind() == reflect.Pointer {
			c.optional, of = true, of.Elem()
		}
		switch of.Kind() {
		case reflect.String:
			c.kind = kindString
		case reflect.Bool:
			c.kind = kindBool
		case reflect.Int32, reflect.Int64:
			c.kind = kindInteger
		case reflect.Float64:
			c.kind = kindFloat
		case reflect.Struct:
			c.kind, c.inner = kindObject, planOfType(of, omitNull, spell)
		case reflect.Slice:
			if c.kind = kindStrings; of.Elem().Kind() == reflect.Struct {
				c.kind, c.inner = kindObjects, planOfType(of.Elem(), omitNull, spell)
			}
		default:
			panic("emulator: no JSON for " + field.Type.String())
		}
		p.columns = append(p.columns, c)
	}
	return p
}

// apiName is the spelling of the API's answers: the tag itself.
func apiName(tag string) string { return tag }

// fileName is the spelling of export files: PascalCase with three irregular names.
func fileName(tag string) string {
	switch tag {
	case "osPlatform", "osVersion", "osArchitecture":
		return "OS" + tag[2:]
	}
	return strings.ToUpper(tag[:1]) + tag[1:]
}

// column finds a column by name, without regard to case.
func (p *plan) column(name string) (column, bool) {
	for _, c := range p.columns {
		if strings.EqualFold(c.name, name) {
			return c, true
		}
	}
	return column{}, false
}

// append writes row, a struct of the plan's type.
func (p *plan) append(buf []byte, row reflect.Value) []byte {
	buf = append(buf, '{')
	start := len(buf)
	for i := range p.columns {
		c := &p.columns[i]
		value := row.Field(c.index)
		null := (c.optional || c.kind == kindStrings || c.kind == kindObjects) && value.IsNil()
		if null && p.omitNull {
			continue
		}
		if len(buf) > start {
			buf = append(buf, ',')
		}
		buf = append(buf, c.key...)
		switch {
		case null:
			buf = append(buf, "null"...)
		case c.optional:
			buf = c.append(buf, value.Elem())
		default:
			buf = c.append(buf, value)
		}
	}
	return append(buf, '}')
}

func (c *column) append(buf []byte, value reflect.Value) []byte {
	switch c.kind {
	case kindString:
		return appendString(buf, value.String())
	case kindBool:
		return strconv.AppendBool(buf, value.Bool())
	case kindInteger:
		return strconv.AppendInt(buf, value.Int(), 10)
	case kindFloat:
		return appendFloat(buf, value.Float())
	case kindObject:
		return c.inner.append(buf, value)
	}
	buf = append(buf, '[')
	for i := range value.Len() {
		if i > 0 {
			buf = append(buf, ',')
		}
		if c.kind == kindObjects {
			buf = c.inner.append(buf, value.Index(i))
		} else {
			buf = appendString(buf, value.Index(i).String())
		}
	}
	return append(buf, ']')
}

// appendFloat writes a number as encoding/json does: plain between 1e-6 and 1e21.
func appendFloat(buf []byte, f float64) []byte {
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		buf = strconv.AppendFloat(buf, f, 'e', -1, 64)
		if n := len(buf); n >= 4 && buf[n-4] == 'e' && buf[n-3] == '-' && buf[n-2] == '0' {
			buf = append(buf[:n-2], buf[n-1]) // e-09 to e-9
		}
		return buf
	}
	return strconv.AppendFloat(buf, f, 'f', -1, 64)
}

const hexDigits = "0123456789abcdef"

// appendString quotes s as encoding/json does without its HTML escapes.
func appendString(buf []byte, s string) []byte {
	buf = append(buf, '"')
	start := 0
	for i := 0; i < len(s); {
		b := s[i]
		if b >= ' ' && b < utf8.RuneSelf && b != '"' && b != '\\' {
			i++
			continue
		}
		if b < utf8.RuneSelf {
			buf = append(buf, s[start:i]...)
			switch b {
			case '"', '\\':
				buf = append(buf, '\\', b)
			case '\b':
				buf = append(buf, `\b`...)
			case '\f':
				buf = append(buf, `\f`...)
			case '\n':
				buf = append(buf, `\n`...)
			case '\r':
				buf = append(buf, `\r`...)
			case '\t':
				buf = append(buf, `\t`...)
			default:
				buf = append(buf, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			buf = append(append(buf, s[start:i]...), `\ufffd`...)
			start = i + size
		case r == '\u2028' || r == '\u2029': // line ends to JavaScript
			buf = append(append(buf, s[start:i]...), `\u202`...)
			buf = append(buf, hexDigits[r&15])
			start = i + size
		}
		i += size
	}
	return append(append(buf, s[start:]...), '"')
}
