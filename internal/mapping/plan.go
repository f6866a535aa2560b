package mapping

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"muster/internal/wire"
)

// source is what a transformation reads: the cells of one tuple by position.
type source struct {
	batch *wire.Batch
	cells []int32
	names []string // of the columns, as the table of attributes spells them
	at    [][]int  // positions in cells per name; spellings may differ by case
}

// text gives the first text among the columns of name i.
func (s *source) text(i int) (string, bool) {
	for _, at := range s.at[i] {
		if cell := s.cells[at]; cell != wire.NullCell {
			return s.batch.Texts[cell], true
		}
	}
	return "", false
}

func (s *source) list(i int) ([]int32, bool) {
	for _, at := range s.at[i] {
		if cell := s.cells[at]; cell != wire.NullCell {
			return s.batch.Lists[cell], true
		}
	}
	return nil, false
}

// Plan maps tuples of one table of batches. It is not safe for concurrent use.
type Plan struct {
	fields []field
	buf    []byte
}

type field struct {
	key    []byte // as JSON, with colon
	append func(buf []byte, in *source) ([]byte, error)
	source
}

// Document is a document by target attribute.
type Document struct{ json []byte }

// AppendJSON appends the canonical JSON object: keys sorted, absent values left out,
// sets sorted. It is valid until its plan maps the next row.
func (m Document) AppendJSON(buf []byte) []byte { return append(buf, m.json...) }

// Compile decides which columns feed which target attributes. A column that the table
// neither pairs nor lists as not imported is an error.
func Compile(dataset string, columns []wire.Column) (*Plan, error) {
	positions := map[string][]int{}
	for i, c := range columns {
		if c.Kind != wire.Text && c.Kind != wire.Texts {
			return nil, fmt.Errorf("column %s of %s has the unknown kind %q", c.Name, dataset, c.Kind)
		}
		name := strings.ToLower(c.Name)
		positions[name] = append(positions[name], i)
	}
	known := map[string]bool{}
	p := &Plan{}
	for _, t := range tables() {
		if t.dataset != dataset {
			continue
		}
		for _, u := range t.unused {
			known[strings.ToLower(u.Source)] = true
		}
		for _, a := range t.attributes {
			for _, name := range a.reads {
				known[strings.ToLower(name)] = true
			}
			if err := p.add(a, columns, positions); err != nil {
				return nil, err
			}
		}
	}
	if err := p.addPosture(dataset, columns, known); err != nil {
		return nil, err
	}
	slices.SortFunc(p.fields, func(a, b field) int { return cmp.Compare(string(a.key), string(b.key)) })
	return p, nil
}

func (p *Plan) add(a Attribute, columns []wire.Column, positions map[string][]int) error {
	if a.Stored != InDocument {
		return nil
	}
	f := field{key: append(AppendString(nil, a.Key), ':'), append: a.transform.append, source: source{names: a.reads}}
	if slices.ContainsFunc(p.fields, func(have field) bool { return string(have.key) == string(f.key) }) {
		return nil // another field of the same list of objects
	}
	want := wire.Text
	if a.transform.gives == "set of text" || a.transform.gives == "list of objects" {
		want = wire.Texts
	}
	found := false
	for _, name := range a.reads {
		at := positions[strings.ToLower(name)]
		for _, i := range at {
			if columns[i].Kind != want {
				return fmt.Errorf("column %s of %s is %s, not %s", columns[i].Name, a.Dataset, columns[i].Kind, want)
			}
		}
		f.at, found = append(f.at, at), found || len(at) > 0
	}
	if found {
		p.fields = append(p.fields, f)
	}
	return nil
}

// Map maps one row. The error is one sentence saying why the row cannot be used.
// The batch and its cells may be reused afterwards, the result until the next call.
func (p *Plan) Map(b *wire.Batch, cells []int32) (Document, error) {
	buf := append(p.buf[:0], '{')
	for i := range p.fields {
		f := &p.fields[i]
		f.batch, f.cells = b, cells
		start := len(buf)
		if start > 1 {
			buf = append(buf, ',')
		}
		buf = append(buf, f.key...)
		value := len(buf)
		var err error
		if buf, err = f.append(buf, &f.source); err != nil {
			return Document{}, err
		}
		if len(buf) == value {
			buf = buf[:start]
		}
	}
	p.buf = append(buf, '}')
	return Document{p.buf}, nil
}
