package export

import (
	"strings"
	"sync"

	"muster/internal/mapping"
)

// form is what the values of a column are in a file that has types.
type form uint8

const (
	formJSON    form = iota // any JSON value, as JSON
	formText                // UTF-8
	formList                // texts, sorted
	formTime                // microseconds, UTC
	formInteger             // 64 bits, signed
	formNumber              // 64 bits, IEEE 754
	formBoolean
)

// String is the word for a form in docs and errors.
func (f form) String() string {
	return [...]string{"JSON", "text", "list of texts", "time", "integer", "number", "boolean"}[f]
}

// mapped is the form that the mapping gives a target attribute, JSON for one it does not
// know.
func mapped(target string) form { return attributeForms()[target] }

// attributeForms are the forms by key in the document.
var attributeForms = sync.OnceValue(func() map[string]form {
	byKey := map[string]form{}
	for _, a := range mapping.Attributes() {
		if a.Stored == mapping.InDocument {
			byKey[a.Key] = attributeForm(&a)
		}
	}
	return byKey
})

func attributeForm(a *mapping.Attribute) form {
	switch {
	case a.Target != a.Key: // a field of a list of objects
		return formJSON
	case strings.Contains(a.Transformation, "kept as given"): // a time where it is one
		return formText
	}
	return forms[a.Type]
}

// forms of the mapping's types; what is not listed is JSON.
var forms = map[string]form{"text": formText, "set of text": formList, "time": formTime, "integer": formInteger, "number": formNumber, "boolean": formBoolean}
