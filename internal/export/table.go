package export

// column is one column of an export whose rows are built from a T.
type column[T any] struct {
	name   string
	sorted bool // rows are ordered by the sorted columns, left to right
	cell   func(*T) cell
}

// key is a column that rows are ordered by.
func key[T any](name string, cell func(*T) cell) column[T] { return column[T]{name, true, cell} }

func col[T any](name string, cell func(*T) cell) column[T] { return column[T]{name, false, cell} }

// emitter writes rows of one export by its columns.
type emitter[T any] struct {
	columns []column[T]
	out     rowWriter
	cells   []cell
	rows    *int64
}

// begin writes the header.
func begin[T any](e *exporter, columns []column[T]) (*emitter[T], error) {
	return &emitter[T]{columns: columns, out: e.out, cells: make([]cell, len(columns)), rows: &e.rows}, e.out.header(names(columns))
}

func (m *emitter[T]) row(r *T) error {
	for i := range m.columns {
		m.cells[i] = m.columns[i].cell(r)
	}
	*m.rows++
	return m.out.row(m.cells)
}

func names[T any](columns []column[T]) []string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = c.name
	}
	return all
}
