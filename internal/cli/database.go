package cli

import (
	"context"
	"fmt"
	"strings"

	"muster"
	"muster/internal/store/postgres"
	"muster/internal/store/relational"
	"muster/internal/store/sqlite"
)

// openDatabase opens what --db names; create makes an SQLite file that is not there, and
// takes an empty PostgreSQL database.
func openDatabase(ctx context.Context, url string, create bool) (*relational.Store, error) {
	scheme, rest, found := strings.Cut(url, ":")
	switch {
	case found && scheme == "sqlite" && rest != "":
		return sqlite.Open(ctx, rest, create)
	case found && (scheme == "postgres" || scheme == "postgresql"):
		return postgres.Open(ctx, url, create)
	}
	message := "the argument names no database" // not told: it may be a connection string with a password
	if found {
		message = fmt.Sprintf("%q names no database", scheme)
	}
	return nil, muster.Invalid("db", message, "Use sqlite:PATH, for example sqlite:muster.db, or postgres://USER@HOST/DATABASE.")
}
