package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"muster/internal/store/relational"
)

// maxArgs bounds the bound values of one statement. SQLite gives a numbered value ($1) a
// name, and the driver looks every name up in a list, so that time grows with the square:
// 200,000 rows took 9.4 s with 4,000 values a statement, 1.0 s with 400, 0.6 s with 80.
const maxArgs = 400

// Piece implements relational.Engine.
func (engine) Piece() int { return maxArgs }

// tuples writes (?,…),(?,…)… for n rows of some columns.
func tuples(columns, n int) string {
	row := "(" + strings.Repeat(",?", columns)[1:] + ")"
	return strings.Repeat(","+row, n)[1:]
}

// Insert implements relational.Engine: "INSERT … VALUES (…), (…)" in pieces.
func (engine) Insert(ctx context.Context, tx *relational.Tx, r relational.Rows) error {
	head, tail := "INSERT INTO "+r.Table+" ("+r.Names("")+") VALUES ", r.OnConflict()
	return pieces(&r, len(r.Columns), func(n int) (*sql.Stmt, error) {
		return tx.PrepareContext(ctx, head+tuples(len(r.Columns), n)+tail)
	}, func(stmt *sql.Stmt, args []any) error {
		_, err := stmt.ExecContext(ctx, args...)
		return err
	})
}

// pieces fills one statement after the other with rows; all but the last are alike.
func pieces(r *relational.Rows, width int, prepare func(n int) (*sql.Stmt, error), run func(stmt *sql.Stmt, args []any) error) error {
	per := max(1, maxArgs/width)
	args := make([]any, 0, min(r.N, per)*width)
	var stmt *sql.Stmt
	for at := 0; at < r.N; at += per {
		size := min(per, r.N-at)
		args = args[:0]
		for i := range size {
			args = r.Values(at+i, args)
		}
		if size < per || stmt == nil {
			if stmt != nil {
				stmt.Close()
			}
			var err error
			if stmt, err = prepare(size); err != nil {
				return err
			}
		}
		if err := run(stmt, args); err != nil {
			stmt.Close()
			return err
		}
	}
	return stmt.Close()
}

// Update implements relational.Engine: one statement a row, which costs no round trip.
func (engine) Update(ctx context.Context, tx *relational.Tx, r relational.Rows) error {
	var set, where []string
	for i, c := range r.Columns {
		if i < r.Keys {
			where = append(where, c.Name+" = ?")
		} else {
			set = append(set, c.Name+" = ?")
		}
	}
	stmt, err := tx.PrepareContext(ctx, "UPDATE "+r.Table+" SET "+strings.Join(set, ", ")+" WHERE "+strings.Join(where, " AND "))
	if err != nil {
		return err
	}
	defer stmt.Close()
	var values, args []any
	for i := range r.N {
		values = r.Values(i, values[:0])
		args = append(append(args[:0], values[r.Keys:]...), values[:r.Keys]...)
		if _, err := stmt.ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// Find implements relational.Engine. CROSS JOIN keeps the given rows outside, so that the
// table's index is asked for each.
func (engine) Find(ctx context.Context, q relational.Queryer, r relational.Rows, found func(i int, id int64)) error {
	match := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		match[i] = "t." + c.Name + " = k." + c.Name
	}
	head := "WITH k (place, " + r.Names("") + ") AS (VALUES "
	tail := ") SELECT k.place, t.id FROM k CROSS JOIN " + r.Table + " t WHERE " + strings.Join(match, " AND ")
	width := len(r.Columns) + 1
	per := max(1, maxArgs/width)
	args := make([]any, 0, min(r.N, per)*width)
	for at := 0; at < r.N; at += per {
		size := min(per, r.N-at)
		args = args[:0]
		for i := range size {
			args = r.Values(at+i, append(args, int64(at+i)))
		}
		if err := find(ctx, q, found, head+tuples(width, size)+tail, args); err != nil {
			return err
		}
	}
	return nil
}

func find(ctx context.Context, q relational.Queryer, found func(i int, id int64), query string, args []any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var i, id int64
		if err := rows.Scan(&i, &id); err != nil {
			return err
		}
		found(int(i), id)
	}
	return rows.Err()
}

// AnyID implements relational.Engine.
func (engine) AnyID(ids []int64) (string, []any) {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	return among(len(ids)), args
}

// AnyHash implements relational.Engine.
func (engine) AnyHash(hashes [][16]byte) (string, []any) {
	args := make([]any, len(hashes))
	for i := range hashes {
		args[i] = hashes[i][:]
	}
	return among(len(hashes)), args
}

// among writes IN (…). Values without a number stand before any numbered one.
func among(n int) string { return "IN (" + strings.Repeat(",?", n)[1:] + ")" }
