package relational

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"

	"muster"
)

//go:embed migrations
var migrations embed.FS

// versionTable marks a database as Muster's.
const versionTable = "muster_version"

// patience is how often a migration that another program ran at the same time is looked at again.
const patience = 20

// Check refuses a database of a newer program and one of somebody else's. It only
// reads, so that what is refused stays as it was. It returns the schema's version, 0
// for an empty database, and the newest that this program knows.
func Check(ctx context.Context, e Engine, db *sql.DB) (version, newest int64, err error) {
	if newest, err = newestVersion(e); err != nil {
		return 0, 0, err
	}
	tables, err := e.Tables(ctx, db)
	if err != nil {
		return 0, 0, e.Explain(err)
	}
	if !slices.Contains(tables, versionTable) {
		if len(tables) > 0 {
			return 0, 0, muster.Invalid("db", "the database belongs to another program", "Give Muster a database of its own.")
		}
		return 0, newest, nil
	}
	var at sql.NullInt64
	if err := db.QueryRowContext(ctx, `SELECT MAX(version_id) FROM `+versionTable).Scan(&at); err != nil {
		return 0, 0, e.Explain(err)
	}
	if at.Int64 > newest {
		return 0, 0, &muster.Error{
			Meaning: muster.ErrConflict, Code: "database_newer",
			Message: fmt.Sprintf("the database has schema version %d, this program knows up to %d", at.Int64, newest), Advice: "Use the newer program that wrote it.",
		}
	}
	return at.Int64, newest, nil
}

// Migrate brings the schema up to this program's version, after Check.
func Migrate(ctx context.Context, e Engine, db *sql.DB) error {
	version, newest, err := Check(ctx, e, db)
	if err != nil || version == newest {
		return err
	}
	files, err := fs.Sub(migrations, folder(e))
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true)}
	locker, err := e.Locker()
	if err != nil {
		return err
	}
	if locker != nil {
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(e.Dialect(), db, files, options...)
	if err != nil {
		return err
	}
	// Without a lock, where two programs open a new database at once, the later one's step
	// fails because the earlier one's is there already: each step is one transaction, so
	// looking again and going on is enough.
	var failed error
	for range patience {
		if _, failed = provider.Up(ctx); failed == nil {
			return nil
		}
		if locker != nil {
			break
		}
		if version, _, err = Check(ctx, e, db); err != nil || version == newest {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return e.Explain(failed)
}

func folder(e Engine) string { return "migrations/" + e.Name() }

// newestVersion is the greatest number that a migration file begins with.
func newestVersion(e Engine) (int64, error) {
	files, err := fs.Glob(migrations, folder(e)+"/*.sql")
	if err != nil {
		return 0, err
	}
	var newest int64
	for _, file := range files {
		number, _, _ := strings.Cut(path.Base(file), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("migration %s: %w", file, err)
		}
		newest = max(newest, version)
	}
	return newest, nil
}
