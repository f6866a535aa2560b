package defender

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A row type lists its members once, as the tags of its fields:
//
//	CVSSScore Text `mde:"cvssScore,number"`
//
// The name is the one of the service's $metadata, with a path where the member
// lies in an object ("vmMetadata.vmId"). The options:
//
//	number, boolean, date   what a Text holds; none = a string
//	machine                 the machine's id: names the machine of a rejected row
//	key                     an id of something else
//	unique                  differs from row to row: not worth remembering
//
// Of a type's members with machine or key, one must have a value.
type kind int

const (
	textKind kind = iota
	numberKind
	booleanKind
	dateKind
	timeKind
	textsKind // from here on: not a scalar
	addressesKind
	gatheredKind
	objectKind
)

// field is one member of a row type and where its value goes.
type field struct {
	name    string
	kind    kind
	machine bool
	unique  bool

	unwanted bool // not decoded, see File.Only

	text      *Text
	time      *time.Time
	texts     *[]string
	addresses *[]IPAddress
	gathered  *[]Gathered
	members   *names // of an object, or of each element of addresses

	last string   // the last text, which often comes again
	list []string // memory of texts, used again
}

// names finds members by name without regard to case. Underscores do not count
// either, so that vm_metadata is vmMetadata.
type names struct {
	prefix string // path of the object whose members they are, with a dot
	fields map[string]*field
	seen   map[string]*spelling
	start  spelling // stands before an object's first member
}

// spelling is a name as it came, in quotes.
type spelling struct {
	raw        string
	name       string // unquoted, with the path
	field      *field // nil = unknown
	annotation bool   // "@odata.type" and the like: about the row, not of it
	next       *spelling
}

// maxSpellings bounds what names remembers of a source that keeps inventing names.
const maxSpellings = 1024

// find returns what a quoted name means. Members come in the same order from row
// to row, so the one that followed previous last time is tried first.
func (n *names) find(quoted []byte, previous *spelling) *spelling {
	if next := previous.next; next != nil && next.raw == string(quoted) {
		return next
	}
	found, ok := n.seen[string(quoted)]
	if !ok {
		unquoted, _ := jsontext.AppendUnquote(nil, quoted)
		name := string(unquoted)
		found = &spelling{
			raw: string(quoted), name: n.prefix + name,
			field: n.fields[fold(name)], annotation: strings.Contains(name, "@odata."),
		}
		if len(n.seen) < maxSpellings {
			n.seen[found.raw] = found
		}
	}
	previous.next = found
	return found
}

func fold(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "") }

// bind reads the tags of a struct and points fields at it.
func (s *scanner) bind(row reflect.Value, prefix string) *names {
	root := &names{prefix: prefix, fields: map[string]*field{}, seen: map[string]*spelling{}}
	for i := range row.NumField() {
		tag, ok := row.Type().Field(i).Tag.Lookup("mde")
		if !ok {
			continue
		}
		path, options, _ := strings.Cut(tag, ",")
		f := &field{name: prefix + path}
		f.point(row.Field(i).Addr().Interface())
		for option := range strings.SplitSeq(options, ",") {
			switch option {
			case "":
			case "number":
				f.kind = numberKind
			case "boolean":
				f.kind = booleanKind
			case "date":
				f.kind = dateKind
			case "unique":
				f.unique = true
			case "machine", "key":
				f.machine = option == "machine"
				s.keys = append(s.keys, f)
			default:
				panic("defender: unknown option in the tag " + tag)
			}
		}
		if f.kind == addressesKind {
			f.members = s.bind(reflect.ValueOf(&s.address).Elem(), path+"[].")
		}
		root.add(path, f)
	}
	return root
}

// add files a field under its path.
func (n *names) add(path string, f *field) {
	object, rest, nested := strings.Cut(path, ".")
	if !nested {
		n.fields[fold(path)] = f
		return
	}
	outer := n.fields[fold(object)]
	if outer == nil {
		members := &names{prefix: n.prefix + object + ".", fields: map[string]*field{}, seen: map[string]*spelling{}}
		outer = &field{name: n.prefix + object, kind: objectKind, members: members}
		n.fields[fold(object)] = outer
	}
	outer.members.add(rest, f)
}

// point sets where the field's value goes; its Go type says what it is.
func (f *field) point(to any) {
	switch to := to.(type) {
	case *Text:
		f.text, f.kind = to, textKind
	case *time.Time:
		f.time, f.kind = to, timeKind
	case *[]string:
		f.texts, f.kind, f.list = to, textsKind, make([]string, 0, 4)
	case *[]IPAddress:
		f.addresses, f.kind = to, addressesKind
	case *[]Gathered:
		f.gathered, f.kind = to, gatheredKind
	default:
		panic(fmt.Sprintf("defender: a row cannot hold a %T", to))
	}
}
