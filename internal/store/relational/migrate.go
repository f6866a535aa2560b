package relational

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"muster"
)

//go:embed migrations
var migrations embed.FS

var dialects = map[string]database.Dialect{"sqlite": database.DialectSQLite3}

// Migrate brings the schema up to this program's version; a database of a newer
// program, or of another one, is refused and left as it was.
func Migrate(ctx context.Context, e Engine, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations/"+e.Name())
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(dialects[e.Name()], db, files, goose.WithTableName("muster_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return e.Explain(err)
	}
	sources := provider.ListSources()
	newest := sources[len(sources)-1].Version
	switch {
	case version > newest:
		return &muster.Error{Meaning: muster.ErrConflict, Code: "database_newer", Message: fmt.Sprintf("the database has schema version %d, this program knows up to %d", version, newest),
			Advice: "Use the newer program that wrote it."}
	case version == newest:
		return nil
	case version < 0:
		return muster.Invalid("db", "the database belongs to another program", "Give Muster a database of its own.")
	}
	if _, err := provider.Up(ctx); err != nil {
		return e.Explain(err)
	}
	return nil
}

// schemaVersion is 0 for an empty database and -1 for somebody else's.
func schemaVersion(ctx context.Context, db *sql.DB) (int64, error) {
	var tables, ours int64
	err := db.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN name = 'muster_version' THEN 1 ELSE 0 END), 0) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`).Scan(&tables, &ours)
	if err != nil {
		return 0, err
	}
	if ours == 0 {
		return map[bool]int64{true: 0, false: -1}[tables == 0], nil
	}
	var version sql.NullInt64
	err = db.QueryRowContext(ctx, `SELECT MAX(version_id) FROM muster_version`).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return version.Int64, err
}
