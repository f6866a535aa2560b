// Package postgres opens a Muster database on a PostgreSQL server, which several programs
// may share. It knows what is particular to PostgreSQL and nothing of what is stored.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"

	"muster"
	"muster/internal/store/relational"
)

const (
	// oldest is the first version of the server that is known to do.
	oldest = 15
	// connections is the most that one program keeps, unless the URL has pool_max_conns.
	connections = 10
	// dialFor bounds one attempt to connect, unless the URL has connect_timeout.
	dialFor = 10 * time.Second
	// migrationLock keeps the nodes apart that bring the schema up; advisory locks are a
	// database's own.
	migrationLock = 0x6d757374 // "must"
)

// Open opens the database that a URL or a keyword string of libpq names, and brings its
// schema up to this program's version; an empty one is taken where create is set. A newer
// database (database_newer), somebody else's (invalid_db) and a server that is too old
// (invalid_db) are refused and left as they were; one that cannot be reached, or refuses the
// user, is database_unreachable. No error names the password.
func Open(ctx context.Context, url string, create bool) (*relational.Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The cause may hold the URL, and the URL a password.
		return nil, muster.Invalid("db", "the address of the PostgreSQL database cannot be understood", "Write it as postgres://USER@HOST:5432/DATABASE; the password may come from PGPASSWORD or ~/.pgpass.")
	}
	connection := config.ConnConfig
	if connection.ConnectTimeout == 0 {
		connection.ConnectTimeout = dialFor
	}
	if connection.RuntimeParams["application_name"] == "" {
		connection.RuntimeParams["application_name"] = "muster"
	}
	e := &engine{where: where(connection)}
	db := stdlib.OpenDB(*connection, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		// Our statements are short, but for their number of values, which has them compiled.
		_, err := c.Exec(ctx, "SET jit = off")
		return err
	}))
	most := connections
	if strings.Contains(url, "pool_max_conns") {
		most = int(config.MaxConns)
	}
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	db.SetConnMaxIdleTime(config.MaxConnIdleTime)
	db.SetConnMaxLifetime(config.MaxConnLifetime)
	if err := e.patiently(ctx, db, create); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return relational.New(e, db, db, false), nil
}

// where names a server and a database for a person.
func where(c *pgx.ConnConfig) string {
	if strings.HasPrefix(c.Host, "/") {
		return fmt.Sprintf("PostgreSQL database %q at %s", c.Database, c.Host)
	}
	return fmt.Sprintf("PostgreSQL database %q at %s:%d", c.Database, c.Host, c.Port)
}

// openings is how often an opening is tried in all while the server starts, stops, or ends
// the session.
const openings = 6

func (e *engine) patiently(ctx context.Context, db *sql.DB, create bool) error {
	pause := 50 * time.Millisecond
	for tries := 1; ; tries++ {
		err := e.prepare(ctx, db, create)
		if tries == openings || !interrupted(err) {
			return err
		}
		pause *= 2
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

// prepare looks at what is there before anything is written to it.
func (e *engine) prepare(ctx context.Context, db *sql.DB, create bool) error {
	var version int
	var encoding string
	var schema sql.NullString
	err := db.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), current_schema()`).Scan(&version, &encoding, &schema)
	if err != nil {
		return e.Explain(err)
	}
	if err := e.suits(version, encoding, schema); err != nil {
		return err
	}
	at, newest, err := relational.Check(ctx, e, db)
	switch {
	case err != nil || at == newest: // whoever may only read may look at it
		return err
	case at == 0 && !create:
		return muster.Invalid("db", fmt.Sprintf("the %s holds nothing of Muster", e.where), "Check the address, or gather into it first with muster sync.")
	}
	var readOnly, allowed bool
	err = db.QueryRowContext(ctx, `SELECT current_setting('transaction_read_only') = 'on', has_schema_privilege(current_schema(), 'CREATE')`).Scan(&readOnly, &allowed)
	switch {
	case err != nil:
		return e.Explain(err)
	case readOnly:
		return e.readOnly(nil)
	case !allowed:
		return e.forbidden(nil)
	}
	return relational.Migrate(ctx, e, db)
}

func (e *engine) suits(version int, encoding string, schema sql.NullString) error {
	switch {
	case version/10000 < oldest:
		return muster.Invalid("db", fmt.Sprintf("the server runs PostgreSQL %d, Muster needs %d or newer", version/10000, oldest), "Upgrade the server, or use another one.")
	case encoding != "UTF8":
		return muster.Invalid("db", fmt.Sprintf("the %s is encoded in %s", e.where, encoding), "Make a database of its own with ENCODING 'UTF8'.")
	case !schema.Valid:
		return muster.Invalid("db", "the database user sees no schema", "Give the user a schema on its search_path.")
	}
	return nil
}

// engine implements relational.Engine.
type engine struct {
	where string
}

func (*engine) Name() string { return "postgres" }

func (*engine) Dialect() database.Dialect { return database.DialectPostgres }

// Locker waits for its turn for five minutes.
func (*engine) Locker() (lock.SessionLocker, error) {
	return lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(1, 300))
}

// Tables leaves out what extensions have brought.
func (*engine) Tables(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
			AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`)
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

// Hasten implements relational.Engine.
func (*engine) Hasten(ctx context.Context, tx *relational.Tx) error {
	_, err := tx.ExecContext(ctx, "SET LOCAL synchronous_commit = off")
	return err
}

// LeaseClock is the server's, whatever the nodes' clocks say.
func (*engine) LeaseClock(own string) string { return "muster_lease_clock(" + own + ")" }
