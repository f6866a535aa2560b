package wire

import "math"

// Null stands for "the source gave no value" in Batch.Rows and in Table.Cells.
const (
	Null     int64 = math.MinInt64
	NullCell int32 = -1
)

// Kind is how a column's cells are to be read.
type Kind string

const (
	Text  Kind = "text"  // cell = index into Batch.Texts
	Texts Kind = "texts" // cell = index into Batch.Lists
)

// Column names one source attribute as the API spells it in JSON ("softwareVendor",
// "vmMetadata.vmId", "ipAddresses[].macAddress").
type Column struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
}

// Table holds distinct tuples of source attributes, each once per batch. Numbers and
// booleans are texts in their JSON form, times RFC 3339 in UTC; numbers that differ
// from row to row travel in Batch.Rows instead.
type Table struct {
	Name    string   `json:"name"` // "machine", "exposure", "facts", "evidence", …
	Columns []Column `json:"columns"`
	Cells   []int32  `json:"cells"` // len = tuples × len(Columns)
}

// Len is the number of tuples.
func (t *Table) Len() int {
	if len(t.Columns) == 0 {
		return 0
	}
	return len(t.Cells) / len(t.Columns)
}

// Tuple returns the cells of tuple i.
func (t *Table) Tuple(i int64) []int32 {
	n := int64(len(t.Columns))
	return t.Cells[i*n : (i+1)*n]
}

// Rejected is a row that could not be decoded. Machine is "" where not even the
// machine could be told; the read is partial then (SPEC §2).
type Rejected struct {
	Machine string `json:"machine"`
	Reason  string `json:"reason"`
}

// Batch is some rows of one dataset. A row is len(Tables) indices, one into each
// table, then len(Numbers) integers (times are microseconds since 1970 UTC).
// A batch is idempotent by (run, fence, dataset, sequence).
type Batch struct {
	Dataset  string     `json:"dataset"`
	Sequence int64      `json:"sequence"`
	Texts    []string   `json:"texts"`
	Lists    [][]int32  `json:"lists"` // elements index Texts; NullCell for null
	Tables   []Table    `json:"tables"`
	Numbers  []string   `json:"numbers"`
	Rows     []int64    `json:"rows"`
	Rejected []Rejected `json:"rejected"`
	Parts    []string   `json:"parts"` // parts whose last row this batch holds
}

// Stride is the number of integers per row.
func (b *Batch) Stride() int { return len(b.Tables) + len(b.Numbers) }

// Len is the number of rows.
func (b *Batch) Len() int {
	if b.Stride() == 0 {
		return 0
	}
	return len(b.Rows) / b.Stride()
}

// Text returns the text of a cell and whether it has one.
func (b *Batch) Text(cell int32) (string, bool) {
	if cell == NullCell {
		return "", false
	}
	return b.Texts[cell], true
}
