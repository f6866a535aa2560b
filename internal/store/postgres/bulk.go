package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"muster/internal/store/relational"
)

// piece is how many rows go into one statement: all of a step, but not the texts of a
// whole tenant.
const piece = 10_000

// Piece implements relational.Engine.
func (*engine) Piece() int { return piece }

// sqlTypes name the arrays in which columns of a kind are bound.
var sqlTypes = map[relational.Kind]string{relational.Integers: "bigint[]", relational.Texts: "text[]", relational.Bytes: "bytea[]"}

// columns binds rows from..to of r column by column, one array each.
func columns(r *relational.Rows, from, to int) ([]any, error) {
	integers, texts, bytes := make([]pgtype.FlatArray[pgtype.Int8], len(r.Columns)), make([]pgtype.FlatArray[pgtype.Text], len(r.Columns)), make([]pgtype.FlatArray[[]byte], len(r.Columns))
	var values []any
	for i := from; i < to; i++ {
		values = r.Values(i, values[:0])
		for c, v := range values {
			switch r.Columns[c].Kind {
			case relational.Integers:
				integers[c] = append(integers[c], integer(v))
			case relational.Texts:
				texts[c] = append(texts[c], text(v))
			case relational.Bytes:
				b, _ := v.([]byte)
				bytes[c] = append(bytes[c], b)
			}
		}
	}
	args := make([]any, len(r.Columns))
	for c := range args {
		switch r.Columns[c].Kind {
		case relational.Integers:
			args[c] = integers[c]
		case relational.Texts:
			args[c] = texts[c]
		case relational.Bytes:
			args[c] = bytes[c]
		}
		if args[c] == nil {
			return nil, fmt.Errorf("column %s has no kind", r.Columns[c].Name)
		}
	}
	return args, nil
}

func integer(v any) pgtype.Int8 {
	switch v := v.(type) {
	case int64:
		return pgtype.Int8{Int64: v, Valid: true}
	case int:
		return pgtype.Int8{Int64: int64(v), Valid: true}
	}
	return pgtype.Int8{}
}

func text(v any) pgtype.Text {
	s, ok := v.(string)
	return pgtype.Text{String: storable(s), Valid: ok}
}

// storable replaces what PostgreSQL takes in no text: the byte 0 and what is not UTF-8.
func storable(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// unnest writes the bound arrays as a table k of r's columns.
func unnest(r *relational.Rows) string {
	marks := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		marks[i] = "$" + strconv.Itoa(i+1) + "::" + sqlTypes[c.Kind]
	}
	return "unnest(" + strings.Join(marks, ", ") + ")"
}

// inPieces binds the rows of r piece by piece.
func inPieces(r *relational.Rows, run func(from int, args []any) error) error {
	for from := 0; from < r.N; from += piece {
		args, err := columns(r, from, min(from+piece, r.N))
		if err == nil {
			err = run(from, args)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Insert implements relational.Engine. Rows that nothing can be in the way of go in by
// COPY, which takes half the time; the others by one statement that looks at each.
func (e *engine) Insert(ctx context.Context, tx *relational.Tx, r relational.Rows) error {
	switch r.Conflict {
	case relational.Refuse:
		return copyRows(ctx, tx, &r)
	case relational.Replace:
		if r.N >= worthCopying && r.Columns[0].Kind == relational.Integers {
			return e.insertSplit(ctx, tx, &r)
		}
	}
	return insertRows(ctx, tx, &r)
}

// insertRows adds rows that may be there already.
func insertRows(ctx context.Context, tx *relational.Tx, r *relational.Rows) error {
	//nolint:unqueryvet // unnest gives exactly the columns named before it
	query := "INSERT INTO " + r.Table + " (" + r.Names("") + ") SELECT * FROM " + unnest(r) + r.OnConflict()
	return inPieces(r, func(_ int, args []any) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
}

// worthCopying is the number of rows from which on a look for what is there pays.
const worthCopying = 200

// insertSplit copies the rows whose first key (the machine) has none in the table yet, as
// at a first gathering, and inserts the others.
func (e *engine) insertSplit(ctx context.Context, tx *relational.Tx, r *relational.Rows) error {
	firsts := make([]int64, r.N)
	var values []any
	for i := range firsts {
		values = r.Values(i, values[:0])
		firsts[i] = integer(values[0]).Int64
	}
	there, err := known(ctx, tx, r, firsts)
	if err != nil {
		return err
	}
	var fresh, others []int
	for i, first := range firsts {
		if there[first] {
			others = append(others, i)
		} else {
			fresh = append(fresh, i)
		}
	}
	some := func(at []int) *relational.Rows {
		part := *r
		part.N, part.Values = len(at), func(i int, args []any) []any { return r.Values(at[i], args) }
		return &part
	}
	if len(fresh) > 0 {
		if err := copyRows(ctx, tx, some(fresh)); err != nil {
			if code(err) == uniqueViolation {
				return fmt.Errorf("%w: %w", errRaced, err)
			}
			return err
		}
	}
	return insertRows(ctx, tx, some(others))
}

// known tells which values of r's first column its table has.
func known(ctx context.Context, tx *relational.Tx, r *relational.Rows, firsts []int64) (map[int64]bool, error) {
	distinct := slices.Clone(firsts)
	slices.Sort(distinct)
	rows, err := tx.QueryContext(ctx, "SELECT k FROM unnest($1::bigint[]) k WHERE EXISTS (SELECT 1 FROM "+r.Table+" t WHERE t."+r.Columns[0].Name+" = k)", slices.Compact(distinct))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	there := map[int64]bool{}
	for rows.Next() {
		var first int64
		if err := rows.Scan(&first); err != nil {
			return nil, err
		}
		there[first] = true
	}
	return there, rows.Err()
}

// copyRows adds rows by COPY, which knows no conflict.
func copyRows(ctx context.Context, tx *relational.Tx, r *relational.Rows) error {
	names := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		names[i] = c.Name
	}
	return tx.Conn.Raw(func(driver any) error {
		conn, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a connection of %T", driver)
		}
		var values []any
		_, err := conn.Conn().CopyFrom(ctx, pgx.Identifier{r.Table}, names, pgx.CopyFromSlice(r.N, func(i int) ([]any, error) {
			values = r.Values(i, values[:0])
			for c, v := range values {
				if s, ok := v.(string); ok {
					values[c] = storable(s)
				}
			}
			return values, nil
		}))
		return err
	})
}

// Update implements relational.Engine.
func (*engine) Update(ctx context.Context, tx *relational.Tx, r relational.Rows) error {
	var set, where []string
	for i, c := range r.Columns {
		if i < r.Keys {
			where = append(where, "t."+c.Name+" = k."+c.Name)
		} else {
			set = append(set, c.Name+" = k."+c.Name)
		}
	}
	query := "UPDATE " + r.Table + " t SET " + strings.Join(set, ", ") + " FROM " + unnest(&r) + " AS k (" + r.Names("") + ") WHERE " + strings.Join(where, " AND ")
	return inPieces(&r, func(_ int, args []any) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
}

// Find implements relational.Engine.
func (*engine) Find(ctx context.Context, q relational.Queryer, r relational.Rows, found func(i int, id int64)) error {
	match := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		match[i] = "t." + c.Name + " = k." + c.Name
	}
	query := "SELECT k.place, t.id FROM " + unnest(&r) + " WITH ORDINALITY AS k (" + r.Names("") + ", place) JOIN " + r.Table + " t ON " + strings.Join(match, " AND ")
	return inPieces(&r, func(from int, args []any) error {
		rows, err := q.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var place, id int64
			if err := rows.Scan(&place, &id); err != nil {
				return err
			}
			found(from+int(place)-1, id)
		}
		return rows.Err()
	})
}

// AnyID implements relational.Engine.
func (*engine) AnyID(ids []int64) (string, []any) { return "= ANY($1::bigint[])", []any{ids} }

// AnyHash implements relational.Engine.
func (*engine) AnyHash(hashes [][16]byte) (string, []any) {
	list := make([][]byte, len(hashes))
	for i := range hashes {
		list[i] = hashes[i][:]
	}
	return "= ANY($1::bytea[])", []any{list}
}
