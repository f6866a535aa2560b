package export

// heading is what a column is, whatever its rows are built from.
type heading struct {
	name   string
	form   form
	sorted bool   // rows are ordered by the sorted columns, left to right
	never  bool   // never null
	says   string // for docs: what it is; "" = the name says it
}

// column is one column of an export whose rows are built from a T.
type column[T any] struct {
	heading

	cell func(*T) cell
}

// key is a column that rows are ordered by and that is never null.
func key[T any](name string, form form, says string, cell func(*T) cell) column[T] {
	return column[T]{heading{name, form, true, true, says}, cell}
}

// col is a column that may be null.
func col[T any](name string, form form, says string, cell func(*T) cell) column[T] {
	return column[T]{heading{name, form, false, false, says}, cell}
}

// full is a column that is never null.
func full[T any](name string, form form, says string, cell func(*T) cell) column[T] {
	return column[T]{heading{name, form, false, true, says}, cell}
}

// nullable lets a key be null.
func nullable[T any](c column[T]) column[T] {
	c.never = false
	return c
}

// attribute is a column of a target attribute, in the form that the mapping gives it.
func attribute[T any](name, target string, read func(row *T, target string) cell) column[T] {
	return col(name, mapped(target), "`"+target+"`", func(row *T) cell { return read(row, target) })
}

// emitter writes rows of one export by its columns.
type emitter[T any] struct {
	columns []column[T]
	out     rowWriter
	cells   []cell
	rows    *int64
}

// begin writes the header.
func begin[T any](e *exporter, columns []column[T]) (*emitter[T], error) {
	return &emitter[T]{columns: columns, out: e.out, cells: make([]cell, len(columns)), rows: &e.rows}, e.out.header(headings(columns))
}

func (m *emitter[T]) row(r *T) error {
	for i := range m.columns {
		m.cells[i] = m.columns[i].cell(r)
	}
	*m.rows++
	return m.out.row(m.cells)
}

func headings[T any](columns []column[T]) []heading {
	all := make([]heading, len(columns))
	for i := range columns {
		all[i] = columns[i].heading
	}
	return all
}

func names(columns []heading) []string {
	all := make([]string, len(columns))
	for i := range columns {
		all[i] = columns[i].name
	}
	return all
}
