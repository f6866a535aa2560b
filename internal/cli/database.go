package cli

import (
	"context"
	"fmt"
	"strings"

	"muster"
	"muster/internal/store/relational"
	"muster/internal/store/sqlite"
)

// openDatabase opens what --db names; create makes an SQLite file that is not there.
func openDatabase(ctx context.Context, url string, create bool) (*relational.Store, error) {
	scheme, rest, found := strings.Cut(url, ":")
	switch {
	case found && scheme == "sqlite" && rest != "":
		return sqlite.Open(ctx, rest, create)
	case found && (scheme == "postgres" || scheme == "postgresql"):
		return nil, muster.Invalid("db", "PostgreSQL is not in this version", "Use sqlite:PATH.")
	}
	return nil, muster.Invalid("db", fmt.Sprintf("%q names no database", scheme), "Use sqlite:PATH, for example sqlite:muster.db.")
}
