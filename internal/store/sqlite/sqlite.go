// Package sqlite opens a Muster database in a single file, without cgo. It knows what
// is particular to SQLite and nothing of what is stored.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"muster"
	"muster/internal/store/relational"
)

// readers is the most connections that read at once; each caches 4 MB, the writer 32 MB.
const readers = 4

// Open opens the database file, makes it where absent and create is set, and brings its schema up
// to this program's version. A newer database (database_newer) and a file of somebody
// else's (invalid_db) are refused and left byte for byte as they were.
func Open(ctx context.Context, path string, create bool) (*relational.Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := probe(ctx, path, create); err != nil {
		return nil, err
	}
	write, err := sql.Open("sqlite", dsn(path, "_pragma=journal_mode(WAL)", "_txlock=immediate", "_pragma=cache_size(-32768)"))
	if err != nil {
		return nil, engine{}.Explain(err)
	}
	write.SetMaxOpenConns(1)
	if err := connect(ctx, write); err != nil {
		return nil, errors.Join(engine{}.Explain(err), write.Close())
	}
	read, err := sql.Open("sqlite", dsn(path, "_pragma=cache_size(-4096)", "_pragma=query_only(1)"))
	if err != nil {
		return nil, errors.Join(engine{}.Explain(err), write.Close())
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	if err := relational.Migrate(ctx, engine{}, write); err != nil {
		return nil, errors.Join(err, write.Close(), read.Close())
	}
	return relational.New(engine{}, write, read, true), nil
}

// connect makes the writer's connection, which turns a new file to a write-ahead log. Where
// several programs do so at once, SQLite refuses all but one, however long it is told to wait.
func connect(ctx context.Context, db *sql.DB) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for tries := 0; ; tries++ {
		err := db.PingContext(ctx)
		var e *sqlite.Error
		if !errors.As(err, &e) || e.Code()&0xff != sqlite3.SQLITE_BUSY || tries == 500 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// probe looks at what is there before anything is written to it.
func probe(ctx context.Context, path string, create bool) error {
	file, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if dir, err := os.Stat(filepath.Dir(path)); err != nil || !dir.IsDir() {
			return muster.Invalid("db", fmt.Sprintf("the folder of %s does not exist", path), "Make the folder first.")
		}
		if !create {
			return muster.Invalid("db", fmt.Sprintf("there is no database %s", path), "Check the path, or gather into it first with muster sync.")
		}
		return nil
	case err != nil:
		return &muster.Error{Meaning: muster.ErrUnavailable, Code: "database_unreachable", Message: fmt.Sprintf("the database file %s cannot be reached", path), Advice: "Check the path and its permissions.", Err: err}
	case !file.Mode().IsRegular():
		return muster.Invalid("db", path+" is not a file", "Name the database file itself.")
	case file.Size() == 0:
		return nil
	}
	// Not mode=ro: such a connection cannot take away the -wal and -shm files it makes.
	db, err := sql.Open("sqlite", dsn(path, "mode=rw"))
	if err != nil {
		return engine{}.Explain(err)
	}
	_, _, err = relational.Check(ctx, engine{}, db)
	return errors.Join(err, db.Close())
}

// dsn writes an absolute path as a URI (https://www.sqlite.org/uri.html).
func dsn(path string, more ...string) string {
	options := append([]string{"_pragma=busy_timeout(20000)", "_pragma=synchronous(NORMAL)", "_pragma=foreign_keys(1)"}, more...)
	path = strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(filepath.ToSlash(path))
	if !strings.HasPrefix(path, "/") { // C:/folder
		path = "/" + path
	}
	return "file://" + path + "?" + strings.Join(options, "&")
}

type engine struct{}

func (engine) Name() string { return "sqlite" }

func (engine) Dialect() database.Dialect { return database.DialectSQLite3 }

// Locker gives none: steps of two programs fail each other at once and are tried again.
func (engine) Locker() (lock.SessionLocker, error) { return nil, nil }

// LeaseClock is the caller's: all share one machine and its clock.
func (engine) LeaseClock(own string) string { return own }

// Hasten has nothing to do: with a write-ahead log and synchronous=NORMAL every commit is.
func (engine) Hasten(context.Context, *relational.Tx) error { return nil }

// Again and Lost are never true: one writer stands behind the gate, and another program's
// is waited for; there is no connection to lose.
func (engine) Again(error) bool { return false }

func (engine) Lost(error) bool { return false }

func (engine) Tables(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// Explain implements relational.Engine. Codes: https://www.sqlite.org/rescode.html.
func (engine) Explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	unreachable := func(message, advice string) error {
		return &muster.Error{Meaning: muster.ErrUnavailable, Code: "database_unreachable", Message: message, Advice: advice, Err: err}
	}
	switch e.Code() {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_TRUNCATE, sqlite3.SQLITE_IOERR_SHMSIZE:
		return &muster.Error{Meaning: muster.ErrUnavailable, Code: "disk_full", Message: "the database could not be written", Advice: "Free some space on its disk and run it again; what was gathered is kept.", Err: err}
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_INTERRUPT:
		return fmt.Errorf("%w: %w", context.Canceled, err)
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return &muster.Error{Meaning: muster.ErrInvalid, Code: "invalid_db", Message: "the file is not a healthy SQLite database", Advice: "Check the path, or restore a backup.", Err: err}
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return unreachable("the database file cannot be opened for writing", "Check the path, its folder and its permissions.")
	case sqlite3.SQLITE_IOERR:
		return unreachable("the database file cannot be read", "Check its disk, then run it again.")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return unreachable("the database stayed locked by another program", "Close the other program, then run it again.")
	}
	return err
}
