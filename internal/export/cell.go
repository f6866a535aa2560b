package export

import (
	"encoding/json"
	"strconv"
	"time"

	"muster/internal/mapping"
)

// cell is one value of a row.
type cell struct {
	kind   kind
	text   string // of plain and jsonText
	number int64  // of the other kinds
}

type kind uint8

const (
	absent   kind = iota
	plain         // text as it is
	jsonText      // number, boolean, list or object as JSON
	whole         // whole number
	truth         // 0 false, 1 true
	moment        // microseconds since 1970, UTC
)

func text(s string) cell { return cell{kind: plain, text: s} }

// textOrNull is for texts of which "" means none.
func textOrNull(s string) cell {
	if s == "" {
		return cell{}
	}
	return text(s)
}

func boolean(b bool) cell {
	if b {
		return cell{kind: truth, number: 1}
	}
	return cell{kind: truth}
}

func integer(n int64) cell { return cell{kind: whole, number: n} }

func instant(t time.Time) cell {
	if t.IsZero() {
		return cell{}
	}
	return cell{kind: moment, number: t.UnixMicro()}
}

// nothing is an empty list.
var nothing = cell{kind: jsonText, text: "[]"}

// list is a JSON array of texts in the order given.
func list(texts []string) cell {
	if len(texts) == 0 {
		return nothing
	}
	buf := []byte{'['}
	for i, s := range texts {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = mapping.AppendString(buf, s)
	}
	return cell{kind: jsonText, text: string(append(buf, ']'))}
}

// value is a JSON value as documents and changes hold them.
func value(raw []byte) cell {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return cell{}
	case raw[0] == '"':
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return text(s)
		}
	}
	return cell{kind: jsonText, text: string(raw)}
}

// appendText appends the value as a CSV cell holds it; nothing for none.
func (c *cell) appendText(buf []byte) []byte {
	switch c.kind {
	case whole:
		return strconv.AppendInt(buf, c.number, 10)
	case truth:
		return strconv.AppendBool(buf, c.number != 0)
	case moment:
		return time.UnixMicro(c.number).UTC().AppendFormat(buf, mapping.TimeLayout)
	default:
		return append(buf, c.text...)
	}
}

// appendJSON appends the value as JSON.
func (c *cell) appendJSON(buf []byte) []byte {
	switch c.kind {
	case absent:
		return append(buf, "null"...)
	case plain:
		return mapping.AppendString(buf, c.text)
	case moment:
		return append(c.appendText(append(buf, '"')), '"')
	default:
		return c.appendText(buf)
	}
}

// document reads the members of a JSON object; nil has none.
func document(raw []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if len(raw) == 0 {
		return nil, nil
	}
	err := json.Unmarshal(raw, &members)
	return members, err
}
