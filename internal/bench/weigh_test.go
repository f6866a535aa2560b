package bench

import (
	"database/sql"
	"os"
	"testing"

	_ "modernc.org/sqlite" // the driver
)

// weigh gives the size of a database and of its tables and indexes, in bytes.
func weigh(tb testing.TB, path string) (whole int64, tables map[string]int64) {
	tb.Helper()
	f, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(tb.Context(), `SELECT name, SUM(pgsize) FROM dbstat GROUP BY name`)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	tables = map[string]int64{}
	for rows.Next() {
		var name string
		var bytes int64
		if err := rows.Scan(&name, &bytes); err != nil {
			tb.Fatal(err)
		}
		tables[name] = bytes
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	var free int64
	if err := db.QueryRowContext(tb.Context(), `SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size`).Scan(&free); err != nil {
		tb.Fatal(err)
	}
	tables["(free pages)"] = free
	return f.Size(), tables
}
