package export

import (
	"encoding/json"
	"strconv"
	"time"

	"muster/internal/mapping"
)

// cell is one value of a row: absent, a text, or JSON that is no text.
type cell struct {
	kind kind
	text string
}

type kind uint8

const (
	absent   kind = iota
	plain         // text as it is
	jsonText      // number, boolean, list or object as JSON
)

func text(s string) cell { return cell{plain, s} }

// textOrNull is for texts of which "" means none.
func textOrNull(s string) cell {
	if s == "" {
		return cell{}
	}
	return text(s)
}

func boolean(b bool) cell { return cell{jsonText, strconv.FormatBool(b)} }

func integer(n int64) cell { return cell{jsonText, strconv.FormatInt(n, 10)} }

func instant(t time.Time) cell {
	if t.IsZero() {
		return cell{}
	}
	return text(t.UTC().Format(mapping.TimeLayout))
}

// nothing is an empty list.
var nothing = cell{jsonText, "[]"}

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
	return cell{jsonText, string(append(buf, ']'))}
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
	return cell{jsonText, string(raw)}
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
