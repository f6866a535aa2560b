package storetest

import (
	"database/sql"
	"os"
	"slices"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// Upgrade brings a database of every earlier schema version up, with a row of that time in
// it. It must come out as one that was made new, and the row must still be there. Each call
// of empty gives a new database, and how to open the store in it; schema lists the names
// and types of all columns, sorted.
func Upgrade(t *testing.T, dialect database.Dialect, folder string, empty func(t *testing.T) (*sql.DB, func() Store), schema string) {
	t.Helper()
	files := os.DirFS(folder)
	describe := func(db *sql.DB) []string {
		rows, err := db.QueryContext(t.Context(), schema)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var all []string
		for rows.Next() {
			var column string
			if err := rows.Scan(&column); err != nil {
				t.Fatal(err)
			}
			all = append(all, column)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return all
	}
	db, open := empty(t)
	open()
	want := describe(db)
	provider, err := goose.NewProvider(dialect, db, files, goose.WithTableName("muster_version"))
	if err != nil {
		t.Fatal(err)
	}
	newest := int64(len(provider.ListSources()))
	if at, err := provider.GetDBVersion(t.Context()); err != nil || at != newest || newest < 2 || len(want) == 0 {
		t.Fatalf("made at version %d (%v) of %d, %d columns", at, err, newest, len(want))
	}
	for version := int64(1); version < newest; version++ {
		db, open := empty(t)
		provider, err := goose.NewProvider(dialect, db, files, goose.WithTableName("muster_version"))
		if err == nil {
			_, err = provider.UpTo(t.Context(), version)
		}
		if err == nil {
			_, err = db.ExecContext(t.Context(), `INSERT INTO tenant (tenant_id) VALUES ('old'), ('older')`)
		}
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		c := newCase(t, open())
		if got := describe(db); !slices.Equal(got, want) {
			t.Errorf("from version %d: %v, made new: %v", version, got, want)
		}
		old, err := c.TenantID(t.Context(), "older")
		c.ok(err)
		c.equal("the old row's id", old, int64(2))
	}
}
