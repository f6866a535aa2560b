package gather

import (
	"encoding/binary"
	"time"

	"muster"
	"muster/internal/defender"
	"muster/internal/wire"
)

// column is one source attribute of row type T in a batch's table.
type column[T any] struct {
	name string
	text func(*T) defender.Text
	// list and texts make the column one of lists; texts keeps the places of nulls.
	list  func(*T) []string
	texts func(*T) []defender.Text
}

// table is the columns whose values travel together, each distinct tuple once a batch.
type table[T any] struct {
	name    string
	columns []column[T]
	unknown bool // one more column "*": the properties nobody knows, as a JSON object
}

// number is a value that differs from row to row.
type number[T any] struct {
	name string
	at   func(*T) time.Time
}

// layout says how rows of type T become a batch (internal/wire).
type layout[T any] struct {
	dataset muster.Dataset
	tables  []table[T]
	numbers []number[T]
	columns [][]wire.Column // of tables, shared by all batches
}

func newLayout[T any](dataset muster.Dataset, tables []table[T], numbers ...number[T]) *layout[T] {
	l := &layout[T]{dataset: dataset, tables: tables, numbers: numbers}
	for _, t := range tables {
		columns := make([]wire.Column, 0, len(t.columns)+1)
		for _, c := range t.columns {
			kind := wire.Text
			if c.text == nil {
				kind = wire.Texts
			}
			columns = append(columns, wire.Column{Name: c.name, Kind: kind})
		}
		if t.unknown {
			columns = append(columns, wire.Column{Name: "*", Kind: wire.Text})
		}
		l.columns = append(l.columns, columns)
	}
	return l
}

// A batch is handed on when it holds so many rows or distinct bytes of text.
const (
	batchRows  = 20_000
	batchBytes = 4 << 20
)

// builder fills a batch; texts, lists and tuples that repeat are held once.
type builder struct {
	batch  wire.Batch
	texts  map[string]int32
	lists  map[string]int32
	tuples []map[string]int64
	cells  []int32
	key    []byte
	bytes  int
}

func newBuilder(dataset muster.Dataset, sequence int64) *builder {
	return &builder{batch: wire.Batch{Dataset: string(dataset), Sequence: sequence}, texts: map[string]int32{}, lists: map[string]int32{}}
}

func (b *builder) full() bool { return b.batch.Len() >= batchRows || b.bytes >= batchBytes }

func (b *builder) empty() bool {
	return len(b.batch.Rows) == 0 && len(b.batch.Rejected) == 0 && len(b.batch.Parts) == 0
}

func (b *builder) text(s string) int32 {
	at, known := b.texts[s]
	if !known {
		at = int32(len(b.batch.Texts))
		b.texts[s] = at
		b.batch.Texts = append(b.batch.Texts, s)
		b.bytes += len(s)
	}
	return at
}

func (b *builder) cell(t defender.Text) int32 {
	if !t.Valid {
		return wire.NullCell
	}
	return b.text(t.Value)
}

// listed interns the list whose cells stand in b.cells from the given position on.
func (b *builder) listed(from int) int32 {
	b.key = b.key[:0]
	for _, c := range b.cells[from:] {
		b.key = binary.LittleEndian.AppendUint32(b.key, uint32(c))
	}
	at, known := b.lists[string(b.key)]
	if !known {
		at = int32(len(b.batch.Lists))
		b.lists[string(b.key)] = at
		b.batch.Lists = append(b.batch.Lists, append([]int32(nil), b.cells[from:]...))
		b.bytes += len(b.key)
	}
	b.cells = b.cells[:from]
	return at
}

// tuple interns the first n cells for table i.
func (b *builder) tuple(i, n int) int64 {
	b.key = b.key[:0]
	for _, c := range b.cells[:n] {
		b.key = binary.LittleEndian.AppendUint32(b.key, uint32(c))
	}
	at, known := b.tuples[i][string(b.key)]
	if !known {
		t := &b.batch.Tables[i]
		at = int64(t.Len())
		b.tuples[i][string(b.key)] = at
		t.Cells = append(t.Cells, b.cells[:n]...)
		b.bytes += len(b.key)
	}
	return at
}

// add appends one row.
func add[T any](b *builder, l *layout[T], value *T, unknown []defender.Member) {
	if b.tuples == nil {
		for i, t := range l.tables {
			b.batch.Tables = append(b.batch.Tables, wire.Table{Name: t.name, Columns: l.columns[i]})
			b.tuples = append(b.tuples, map[string]int64{})
		}
		for _, n := range l.numbers {
			b.batch.Numbers = append(b.batch.Numbers, n.name)
		}
	}
	for i := range l.tables {
		b.cells = b.cells[:0]
		for _, c := range l.tables[i].columns {
			b.cells = append(b.cells, columnCell(b, &c, value))
		}
		if l.tables[i].unknown {
			b.cells = append(b.cells, b.unknown(unknown))
		}
		b.batch.Rows = append(b.batch.Rows, b.tuple(i, len(b.cells)))
	}
	for _, n := range l.numbers {
		micros := wire.Null
		if at := n.at(value); !at.IsZero() {
			micros = at.UnixMicro()
		}
		b.batch.Rows = append(b.batch.Rows, micros)
	}
}

func columnCell[T any](b *builder, c *column[T], value *T) int32 {
	from := len(b.cells)
	switch {
	case c.text != nil:
		return b.cell(c.text(value))
	case c.list != nil:
		list := c.list(value)
		if list == nil {
			return wire.NullCell
		}
		for _, s := range list {
			b.cells = append(b.cells, b.text(s))
		}
	default:
		texts := c.texts(value)
		if texts == nil {
			return wire.NullCell
		}
		for _, t := range texts {
			b.cells = append(b.cells, b.cell(t))
		}
	}
	return b.listed(from)
}

// unknown keeps the properties nobody knows as one JSON object.
func (b *builder) unknown(members []defender.Member) int32 {
	if len(members) == 0 {
		return wire.NullCell
	}
	return b.text(objectOf(members))
}
