// Package sqlite opens a Muster database in a single file, without cgo. It knows what
// is particular to SQLite and nothing of what is stored.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"muster"
	"muster/internal/store/relational"
)

// readers is the most connections that read at once; each caches 4 MB, the writer 32 MB.
const readers = 4

// Open opens the database file, makes it where absent and create is set, and brings its schema up
// to this program's version. A newer database is refused (database_newer).
func Open(ctx context.Context, path string, create bool) (*relational.Store, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && !create {
		return nil, muster.Invalid("db", fmt.Sprintf("there is no database %s", path), "Check the path, or gather into it first with muster sync.")
	}
	if dir, err := os.Stat(filepath.Dir(path)); err != nil || !dir.IsDir() {
		return nil, muster.Invalid("db", fmt.Sprintf("the folder of %s does not exist", path), "Make the folder first.")
	}
	write, err := sql.Open("sqlite", dsn(path, "_txlock=immediate", "_pragma=cache_size(-32768)"))
	if err != nil {
		return nil, engine{}.Explain(err)
	}
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", dsn(path, "_pragma=cache_size(-4096)", "_pragma=query_only(1)"))
	if err != nil {
		return nil, errors.Join(engine{}.Explain(err), write.Close())
	}
	read.SetMaxOpenConns(readers)
	if err := relational.Migrate(ctx, engine{}, write); err != nil {
		return nil, errors.Join(err, write.Close(), read.Close())
	}
	return relational.New(engine{}, write, read, true), nil
}

func dsn(path string, more ...string) string {
	options := append([]string{"_pragma=busy_timeout(20000)", "_pragma=journal_mode(WAL)", "_pragma=synchronous(NORMAL)", "_pragma=foreign_keys(1)"}, more...)
	escaped := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	return "file:" + escaped + "?" + strings.Join(options, "&")
}

type engine struct{}

func (engine) Name() string { return "sqlite" }

// Explain implements relational.Engine.
func (engine) Explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
		return &muster.Error{Meaning: muster.ErrUnavailable, Code: "disk_full", Message: "the database could not be written", Advice: "Free some space on its disk and run it again; what was gathered is kept.", Err: err}
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return &muster.Error{Meaning: muster.ErrInvalid, Code: "invalid_db", Message: "the file is not a healthy SQLite database", Advice: "Check the path, or restore a backup.", Err: err}
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return &muster.Error{Meaning: muster.ErrUnavailable, Code: "database_unreachable", Message: "the database file cannot be opened for writing", Advice: "Check the path, its folder and its permissions.", Err: err}
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return &muster.Error{Meaning: muster.ErrUnavailable, Code: "database_unreachable", Message: "the database stayed locked by another program", Advice: "Close the other program, then run it again.", Err: err}
	}
	return err
}
