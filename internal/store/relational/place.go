package relational

import (
	"encoding/json"
	"errors"

	"muster/internal/store"
)

var errDocument = errors.New("attributes are no JSON object")

// placeOf reads platform and device group off a machine's attributes; "" = not given.
func placeOf(document []byte) ([2]string, error) {
	if len(document) == 0 {
		return [2]string{}, nil
	}
	return textsOf(document, [2]string{store.PlatformAttribute, store.GroupAttribute})
}

// textsOf reads two texts off a JSON object; "" = not given. Every machine of every list
// and every new document of facts passes here, so it does not decode the other members.
func textsOf(document []byte, names [2]string) (texts [2]string, err error) {
	rest := document
	if len(rest) == 0 || rest[0] != '{' {
		return texts, errDocument
	}
	for rest = rest[1:]; len(rest) > 0 && rest[0] != '}'; {
		name := value(rest)
		if len(name) == len(rest) || rest[len(name)] != ':' {
			return texts, errDocument
		}
		rest = rest[len(name)+1:]
		v := value(rest)
		if len(v) == 0 {
			return texts, errDocument
		}
		for i, want := range names {
			if v[0] == '"' && len(name) == len(want)+2 && string(name[1:len(name)-1]) == want {
				if err := json.Unmarshal(v, &texts[i]); err != nil {
					return texts, err
				}
			}
		}
		if rest = rest[len(v):]; len(rest) > 0 && rest[0] == ',' {
			rest = rest[1:]
		}
	}
	if len(rest) == 0 {
		return texts, errDocument
	}
	return texts, nil
}

// value is the JSON value that compact JSON begins with.
func value(text []byte) []byte {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted && c == '\\':
			i++
			continue
		case c == '"':
			quoted = !quoted
			if quoted || depth > 0 {
				continue
			}
			return text[:i+1]
		case quoted:
			continue
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return text[:i] // of what is around it
			}
			if depth--; depth == 0 {
				return text[:i+1]
			}
		case (c == ',' || c == ':') && depth == 0:
			return text[:i]
		}
	}
	return text
}
