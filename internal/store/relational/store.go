// Package relational implements the roles of store in SQL that both engines share;
// what truly differs is a method of Engine. It must not know the Defender API.
package relational

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"muster"
	"muster/internal/wire"
)

// Store is a database of Muster. Writers wait their turn behind a fair gate, so that a
// long merge does not starve a heartbeat.
type Store struct {
	engine Engine
	write  *sql.DB
	read   *sql.DB
	gate   chan struct{}

	classes classes
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

// attempts is how often a transaction is tried in all when others are in its way.
const attempts = 10

// reconnecting is how long a lost connection is tried to be made again, well within a lease.
const reconnecting = 10 * time.Second

// update runs fn in one write transaction; fn may run more than once. Where the connection
// was lost while it was committed, nobody knows whether it was, and that is an error.
func (s *Store) update(ctx context.Context, fn func(tx *Tx) error) error {
	return s.transact(ctx, false, fn)
}

// repeat is update for what changes nothing when it is done again: a commit in doubt is.
func (s *Store) repeat(ctx context.Context, fn func(tx *Tx) error) error {
	return s.transact(ctx, true, fn)
}

func (s *Store) transact(ctx context.Context, repeatable bool, fn func(tx *Tx) error) error {
	if s.gate != nil {
		select {
		case s.gate <- struct{}{}:
			defer func() { <-s.gate }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	tries := 0
	return s.patiently(ctx, func() (bool, error) {
		for {
			sure, err := s.try(ctx, fn)
			if tries++; err == nil || tries == attempts || !s.engine.Again(err) {
				return sure || repeatable, err
			}
		}
	})
}

// try runs fn in one write transaction, once. An error is sure when nothing was committed.
func (s *Store) try(ctx context.Context, fn func(tx *Tx) error) (sure bool, err error) {
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return true, err
	}
	defer func() { _ = conn.Close() }() // hands it back to the pool
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return true, err
	}
	defer tx.Rollback() // does nothing after a commit
	if err := fn(&Tx{tx, conn, s.engine}); err != nil {
		return true, err
	}
	return false, tx.Commit()
}

// patiently repeats what surely did nothing because the connection to the database was
// lost: a server that restarts, or fails over, is back within seconds.
func (s *Store) patiently(ctx context.Context, do func() (sure bool, err error)) error {
	pause := 10 * time.Millisecond
	for waited := time.Duration(0); ; waited += pause {
		sure, err := do()
		if err == nil || !sure || waited > reconnecting || ctx.Err() != nil || !s.engine.Lost(err) {
			return s.explain(err)
		}
		pause = min(2*pause, time.Second)
		if rest(ctx, pause) != nil {
			return s.explain(err)
		}
	}
}

// rest waits; it ends early, with the context's error, when that ends.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// view runs fn in one transaction that only reads, so that what it reads fits together.
func (s *Store) view(ctx context.Context, fn func(tx *Tx) error) error {
	var tx *sql.Tx
	err := s.patiently(ctx, func() (sure bool, err error) {
		tx, err = s.read.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
		return true, err
	})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return s.explain(fn(&Tx{tx, nil, s.engine}))
}

// leased runs fn in a write transaction that has first proved the lease.
func (s *Store) leased(ctx context.Context, l wire.Lease, fn func(tx *Tx) error) error {
	return s.update(ctx, proved(ctx, l, fn))
}

// leasedRepeat is leased for what changes nothing when it is done again.
func (s *Store) leasedRepeat(ctx context.Context, l wire.Lease, fn func(tx *Tx) error) error {
	return s.repeat(ctx, proved(ctx, l, fn))
}

// proved begins with the lease: a zombie's fence matches no row, and locking the run's row
// keeps a successor out meanwhile.
func proved(ctx context.Context, l wire.Lease, fn func(tx *Tx) error) func(tx *Tx) error {
	return func(tx *Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE run SET fence = fence WHERE id = $1 AND fence = $2 AND state IN `+activeStates, l.Run, l.Fence))
		if err != nil {
			return err
		}
		if n == 0 {
			return muster.ErrLeaseLost
		}
		return fn(tx)
	}
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
	return s.patiently(ctx, func() (sure bool, err error) {
		sure = true
		err = each(ctx, s.read, func(rows *sql.Rows) error {
			sure = false // the caller has seen something
			return scan(rows)
		}, query, args...)
		return sure, err
	})
}

// row is the one row of a query on the readers' pool. Like sql.Row it is read when it is
// scanned, and sql.ErrNoRows when there is none.
type row struct {
	*Store
	ctx   context.Context
	query string
	args  []any
}

func (s *Store) row(ctx context.Context, query string, args ...any) row {
	return row{s, ctx, query, args}
}

// Scan reads the row's columns.
func (r row) Scan(targets ...any) error {
	return r.patiently(r.ctx, func() (bool, error) {
		return true, r.read.QueryRowContext(r.ctx, r.query, r.args...).Scan(targets...)
	})
}

type scanner interface{ Scan(targets ...any) error }

func each(ctx context.Context, q Queryer, scan func(rows *sql.Rows) error, query string, args ...any) error {
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

// inIDs calls fn with the condition that a column is one of some ids, in pieces; further
// values are bound after args.
func inIDs(e Engine, ids []int64, fn func(condition string, args []any) error) error {
	for piece := range slices.Chunk(ids, e.Piece()) {
		if err := fn(e.AnyID(piece)); err != nil {
			return err
		}
	}
	return nil
}
