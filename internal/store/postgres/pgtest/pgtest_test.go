//go:build unix

package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestDatabase makes a database and looks at what the tests of others rely on.
func TestDatabase(t *testing.T) {
	c, err := pgx.Connect(t.Context(), Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	var version, tables int
	var lower bool
	err = c.QueryRow(t.Context(), `SELECT current_setting('server_version_num')::int / 10000, (SELECT count(*)::int FROM pg_tables WHERE schemaname = 'public'), 'a' < 'B'`).Scan(&version, &tables, &lower)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("PostgreSQL %d", version)
	if version < oldest || tables != 0 || !lower {
		t.Errorf("version %d, %d tables, a before B: %t", version, tables, lower)
	}
}
