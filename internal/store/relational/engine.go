package relational

import (
	"context"
	"database/sql"
	"strings"

	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

// Engine is what differs between databases.
type Engine interface {
	// Name is the folder of its migrations.
	Name() string
	Dialect() database.Dialect
	// Locker keeps other programs out while one brings the schema up; nil where a step
	// that somebody else was ahead with is tried again instead.
	Locker() (lock.SessionLocker, error)
	// Tables lists the tables and views of a database, those of the engine itself left out.
	Tables(ctx context.Context, db *sql.DB) ([]string, error)
	// LeaseClock writes the time in microseconds by which leases begin and run out; own is
	// the mark of the caller's time.
	LeaseClock(own string) string
	// Hasten lets a transaction be committed before it is on disk: a crash may undo it, with
	// all that follow, until one that was not hastened makes them last.
	Hasten(ctx context.Context, tx *Tx) error
	// Insert adds rows to a table.
	Insert(ctx context.Context, tx *Tx, r Rows) error
	// Update sets the columns after the keys in the rows that the keys name.
	Update(ctx context.Context, tx *Tx, r Rows) error
	// Find calls back with the place of every row whose columns all stand in its table, and
	// with its id there.
	Find(ctx context.Context, q Queryer, r Rows, found func(i int, id int64)) error
	// AnyID and AnyHash write the condition that a column is one of some values, bound from
	// $1 on, at most Piece of them.
	AnyID(ids []int64) (condition string, args []any)
	AnyHash(hashes [][16]byte) (condition string, args []any)
	Piece() int
	// Again tells of a failed transaction that it left nothing behind and is worth
	// repeating: another one was in its way. Lost tells that the connection broke, so that
	// it left nothing behind either, unless it was just being committed.
	Again(err error) bool
	Lost(err error) bool
	// Explain turns the driver's error into one with a code where a person can act on it.
	Explain(err error) error
}

// Queryer reads: a pool, a connection or a transaction.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Tx is a transaction and the connection that it has to itself.
type Tx struct {
	*sql.Tx
	Conn   *sql.Conn // nil where it only reads
	engine Engine
}

func (tx *Tx) insert(ctx context.Context, r Rows) error {
	if r.N == 0 {
		return nil
	}
	return tx.engine.Insert(ctx, tx, r)
}

func (tx *Tx) update(ctx context.Context, r Rows) error {
	if r.N == 0 {
		return nil
	}
	return tx.engine.Update(ctx, tx, r)
}

// Kind is the type of a column.
type Kind int

const (
	Integers Kind = iota // int64, int or nil
	Texts                // string or nil
	Bytes                // []byte or nil
)

// Column is a column of a table.
type Column struct {
	Name string
	Kind Kind
}

// Conflict says what becomes of a row whose keys a table has already.
type Conflict int

const (
	Refuse  Conflict = iota // the transaction fails
	Keep                    // the stored row stays
	Replace                 // the columns after the keys are set
)

// Rows are values for some columns of a table; the first Keys columns tell its rows apart.
type Rows struct {
	Table    string
	Columns  []Column
	Keys     int
	Conflict Conflict
	N        int
	// Values appends the values of row i, in the order of the columns.
	Values func(i int, args []any) []any
}

// OnConflict writes what follows the values of an INSERT.
func (r *Rows) OnConflict() string {
	switch r.Conflict {
	case Keep:
		return " ON CONFLICT DO NOTHING"
	case Replace:
		keys, set := "", ""
		for i, c := range r.Columns {
			switch {
			case i >= r.Keys:
				set += ", " + c.Name + " = excluded." + c.Name
			case i > 0:
				keys += ", " + c.Name
			default:
				keys = c.Name
			}
		}
		return " ON CONFLICT (" + keys + ") DO UPDATE SET " + set[2:]
	}
	return ""
}

// Names lists the columns, each after a prefix.
func (r *Rows) Names(prefix string) string {
	var list strings.Builder
	for i, c := range r.Columns {
		if i > 0 {
			list.WriteString(", ")
		}
		list.WriteString(prefix + c.Name)
	}
	return list.String()
}
