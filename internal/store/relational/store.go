// Package relational implements the roles of store in SQL that both engines share;
// what truly differs is a method of Engine. It must not know the Defender API.
package relational

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3/database"

	"muster"
	"muster/internal/wire"
)

// Engine is what differs between databases.
type Engine interface {
	// Name is the folder of its migrations.
	Name() string
	Dialect() database.Dialect
	// Tables lists the tables of a database, those of the engine itself left out.
	Tables(ctx context.Context, db *sql.DB) ([]string, error)
	// Mark stands for the n-th value bound to a statement whose values are named in order.
	Mark(n int) string
	// Explain turns the driver's error into one with a code where a person can act on it.
	Explain(err error) error
}

// Store is a database of Muster. Writers wait their turn behind a fair gate, so that a
// long merge does not starve a heartbeat.
type Store struct {
	engine Engine
	write  *sql.DB
	read   *sql.DB
	gate   chan struct{}
}

// New builds a store over two pools, which may be the same. Writes pass the gate one at
// a time when fair is set.
func New(engine Engine, write, read *sql.DB, fair bool) *Store {
	s := &Store{engine: engine, write: write, read: read}
	if fair {
		s.gate = make(chan struct{}, 1)
	}
	return s
}

// Close ends both pools.
func (s *Store) Close() error {
	err := s.write.Close()
	if s.read != s.write {
		err = errors.Join(err, s.read.Close())
	}
	return err
}

// transaction is one on a database of some engine.
type transaction struct {
	*sql.Tx
	engine Engine
}

// update runs fn in one write transaction.
func (s *Store) update(ctx context.Context, fn func(tx *transaction) error) error {
	if s.gate != nil {
		select {
		case s.gate <- struct{}{}:
			defer func() { <-s.gate }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.explain(err)
	}
	defer tx.Rollback() // does nothing after a commit
	if err := fn(&transaction{tx, s.engine}); err != nil {
		return s.explain(err)
	}
	return s.explain(tx.Commit())
}

// view runs fn in one transaction that only reads, so that what it reads fits together.
func (s *Store) view(ctx context.Context, fn func(tx *transaction) error) error {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return s.explain(err)
	}
	defer tx.Rollback()
	return s.explain(fn(&transaction{tx, s.engine}))
}

// leased runs fn in a write transaction that has first proved the lease: a zombie's
// fence matches no row, and locking the run's row keeps a successor out meanwhile.
func (s *Store) leased(ctx context.Context, l wire.Lease, fn func(tx *transaction) error) error {
	return s.update(ctx, func(tx *transaction) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE run SET fence = fence WHERE id = $1 AND fence = $2 AND state IN `+active, l.Run, l.Fence))
		if err != nil {
			return err
		}
		if n == 0 {
			return muster.ErrLeaseLost
		}
		return fn(tx)
	})
}

func (s *Store) explain(err error) error {
	var known *muster.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, muster.ErrConflict) {
		return err
	}
	return s.engine.Explain(err)
}

// each runs a query on the readers' pool and calls scan for every row.
func (s *Store) each(ctx context.Context, scan func(rows *sql.Rows) error, query string, args ...any) error {
	return s.explain(each(ctx, s.read, scan, query, args...))
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func each(ctx context.Context, q queryer, scan func(rows *sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// micros stores a time; zero is NULL.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// fromMicros reads a time; NULL is zero.
func fromMicros(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}

// maxArgs bounds the bound values of one statement. SQLite looks the name of a numbered
// one up in a list, so that time grows with the square: 200,000 rows took 9.4 s with 4,000
// values a statement, 1.0 s with 400, 0.6 s with 80. Few are many round trips on PostgreSQL.
const maxArgs = 400

// insertRows runs "head VALUES (…), (…) tail" in pieces; row i's values come from values(i, args).
func (tx *transaction) insertRows(ctx context.Context, head, tail string, columns, n int, values func(i int, args []any) []any) error {
	per := max(1, maxArgs/columns)
	args := make([]any, 0, min(n, per)*columns)
	var stmt *sql.Stmt
	for at := 0; at < n; at += per {
		size := min(per, n-at)
		args = args[:0]
		for i := range size {
			args = values(at+i, args)
		}
		if size < per || stmt == nil {
			if stmt != nil {
				stmt.Close()
			}
			var err error
			if stmt, err = tx.PrepareContext(ctx, head+" VALUES "+tuples(columns, size, tx.engine.Mark)+" "+tail); err != nil {
				return err
			}
		}
		if _, err := stmt.ExecContext(ctx, args...); err != nil {
			stmt.Close()
			return err
		}
	}
	if stmt != nil {
		return stmt.Close()
	}
	return nil
}

// tuples writes (…,…),(…,…)… with the marks of n rows of some columns.
func tuples(columns, n int, mark func(n int) string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		for c := range columns {
			if c > 0 {
				b.WriteByte(',')
			}
			b.WriteString(mark(i*columns + c + 1))
		}
		b.WriteByte(')')
	}
	return b.String()
}

// numbered marks values by number, which both engines read, and which may come twice.
func numbered(n int) string { return "$" + strconv.Itoa(n) }

// inIDs calls fn with pieces of ids and the matching "($1,$2,…)" list.
func inIDs(ids []int64, fn func(list string, args []any) error) error {
	for len(ids) > 0 {
		n := min(len(ids), maxArgs)
		args := make([]any, n)
		for i, id := range ids[:n] {
			args[i] = id
		}
		if err := fn(tuples(n, 1, numbered), args); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}
