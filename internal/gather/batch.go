package gather

import (
	"slices"
	"sync"
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
	spare   sync.Pool       // of builders, which keep their memory
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

// A batch is handed on when it holds so many rows or distinct bytes of text. Twice as many
// repeat more texts, and cost more time all the same: they outgrow the processor's cache.
const (
	batchRows  = 25_000
	batchBytes = 4 << 20
)

// builder fills one batch after the other; texts, lists and tuples that repeat are held
// once in each.
type builder struct {
	batch  wire.Batch
	texts  index
	lists  index
	tuples []index
	cells  []int32
	key    []byte
	bytes  int
}

func (l *layout[T]) take() *builder {
	if b, ok := l.spare.Get().(*builder); ok {
		return b
	}
	b := &builder{batch: wire.Batch{Dataset: string(l.dataset)}, tuples: make([]index, len(l.tables))}
	for i, t := range l.tables {
		b.batch.Tables = append(b.batch.Tables, wire.Table{Name: t.name, Columns: l.columns[i]})
	}
	for _, n := range l.numbers {
		b.batch.Numbers = append(b.batch.Numbers, n.name)
	}
	return b
}

func (l *layout[T]) give(b *builder) {
	b.reset()
	l.spare.Put(b)
}

// members names the properties that the columns are made of, where each is called as
// its column.
func (l *layout[T]) members() []string {
	var names []string
	for _, t := range l.tables {
		for _, c := range t.columns {
			names = append(names, c.name)
		}
	}
	for _, n := range l.numbers {
		names = append(names, n.name)
	}
	return names
}

// reset empties the batch once it was handed on.
func (b *builder) reset() {
	clear(b.batch.Texts)
	b.batch.Texts, b.batch.Lists, b.batch.Rows = b.batch.Texts[:0], b.batch.Lists[:0], b.batch.Rows[:0]
	b.batch.Rejected, b.batch.Parts = nil, nil
	b.texts.reset()
	b.lists.reset()
	for i := range b.tuples {
		b.batch.Tables[i].Cells = b.batch.Tables[i].Cells[:0]
		b.tuples[i].reset()
	}
	b.bytes = 0
}

func (b *builder) full() bool { return b.batch.Len() >= batchRows || b.bytes >= batchBytes }

func (b *builder) empty() bool {
	return len(b.batch.Rows) == 0 && len(b.batch.Rejected) == 0 && len(b.batch.Parts) == 0
}

func (b *builder) text(s string) int32 {
	at, known := b.texts.find(hashText(s), func(i int32) bool { return b.batch.Texts[i] == s })
	if !known {
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
	list := b.cells[from:]
	var hash uint64
	hash, b.key = hashCells(list, b.key)
	at, known := b.lists.find(hash, func(i int32) bool { return slices.Equal(b.batch.Lists[i], list) })
	if !known {
		b.batch.Lists = append(b.batch.Lists, slices.Clone(list))
		b.bytes += 4 * len(list)
	}
	b.cells = b.cells[:from]
	return at
}

// tuple interns the cells for table i.
func (b *builder) tuple(i int) int32 {
	t := &b.batch.Tables[i]
	var hash uint64
	hash, b.key = hashCells(b.cells, b.key)
	at, known := b.tuples[i].find(hash, func(i int32) bool { return slices.Equal(t.Tuple(int64(i)), b.cells) })
	if !known {
		t.Cells = append(t.Cells, b.cells...)
		b.bytes += 4 * len(b.cells)
	}
	return at
}

// add appends one row.
func add[T any](b *builder, l *layout[T], value *T, unknown []defender.Member) {
	last := int32(0)
	for i := range l.tables {
		last = tupleOf(b, &l.tables[i], i, last, value, unknown)
		b.batch.Rows = append(b.batch.Rows, int64(last))
	}
	for i := range l.numbers {
		micros := wire.Null
		if at := l.numbers[i].at(value); !at.IsZero() {
			micros = at.UnixMicro()
		}
		b.batch.Rows = append(b.batch.Rows, micros)
	}
}

// tupleOf gives a row's tuple of table i. What stands in one table mostly decides what
// stands in the next (a software version and CVE the facts), so the tuple that went with
// the one before, at position last, is tried first; of the first table that is the last
// row's. Texts that are the same in memory compare faster than they are looked up.
func tupleOf[T any](b *builder, t *table[T], i int, last int32, value *T, unknown []defender.Member) int32 {
	guess := b.tuples[i].follower(last)
	if guess >= 0 && sameTuple(b, t, b.batch.Tables[i].Tuple(int64(guess)), value, unknown) {
		return guess
	}
	b.cells = b.cells[:0]
	for c := range t.columns {
		b.cells = append(b.cells, columnCell(b, &t.columns[c], value))
	}
	if t.unknown {
		b.cells = append(b.cells, b.unknown(unknown))
	}
	at := b.tuple(i)
	b.tuples[i].follow(last, at)
	return at
}

// sameTuple compares a row with the cells of a tuple.
func sameTuple[T any](b *builder, t *table[T], cells []int32, value *T, unknown []defender.Member) bool {
	if t.unknown && (len(unknown) > 0 || cells[len(t.columns)] != wire.NullCell) {
		return false
	}
	for i := range t.columns {
		switch c := &t.columns[i]; {
		case c.text != nil:
			if !b.holds(cells[i], c.text(value)) {
				return false
			}
		case c.list != nil:
			if !b.holdsList(cells[i], c.list(value)) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// holds tells whether a cell stands for a text.
func (b *builder) holds(cell int32, t defender.Text) bool {
	if cell == wire.NullCell {
		return !t.Valid
	}
	return t.Valid && b.batch.Texts[cell] == t.Value
}

func (b *builder) holdsList(cell int32, list []string) bool {
	if cell == wire.NullCell {
		return list == nil
	}
	cells := b.batch.Lists[cell]
	if list == nil || len(cells) != len(list) {
		return false
	}
	for i, c := range cells {
		if c == wire.NullCell || b.batch.Texts[c] != list[i] {
			return false
		}
	}
	return true
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
