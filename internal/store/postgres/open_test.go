package postgres_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"muster"
	"muster/internal/store/postgres"
	"muster/internal/store/postgres/pgtest"
	"muster/internal/store/storetest"
	"muster/internal/wire"
)

func checkError(t *testing.T, err error, code string) {
	t.Helper()
	var e *muster.Error
	if !errors.As(err, &e) || e.Code != code || e.Message == "" || e.Advice == "" {
		t.Fatalf("error = %#v (%v), want code %s with a sentence and advice", e, err, code)
	}
	for _, text := range []string{e.Message, e.Advice, err.Error(), fmt.Sprintf("%+v", e.Err)} {
		if strings.Contains(text, secret) {
			t.Errorf("the password is told: %s", text)
		}
	}
}

// secret is a password that must never be seen again.
const secret = "hunter2-correct"

// contents lists what a database holds, to see whether it was touched.
func contents(t *testing.T, url string) []string {
	t.Helper()
	rows, err := raw(t, url).QueryContext(t.Context(), `SELECT c.relname || ' ' || c.relkind::text || ' ' || pg_relation_size(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' UNION ALL SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'public' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRefused opens what must not be touched: each has its code, and the database is as it was.
func TestRefused(t *testing.T) {
	server := pgtest.Shared(t)
	for _, c := range []struct {
		name, code string
		create     bool
		prepare    []string
		schema     bool // Muster's
	}{
		{name: "a newer database", code: "database_newer", create: true, schema: true, prepare: []string{`INSERT INTO muster_version (version_id, is_applied) VALUES (999, true)`}},
		{name: "another program's", code: "invalid_db", create: true, prepare: []string{`CREATE TABLE bookmarks (id INTEGER PRIMARY KEY, url TEXT)`}},
		{name: "another program's with one view", code: "invalid_db", create: true, prepare: []string{`CREATE VIEW muster_devices AS SELECT 1 AS one`}},
		{name: "nothing where something must be", code: "invalid_db"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := pgtest.Database(t)
			if c.schema {
				made(t, url)
			}
			server.Exec(t, url, c.prepare...)
			before := contents(t, url)
			s, err := postgres.Open(t.Context(), url, c.create)
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			checkError(t, err, c.code)
			if after := contents(t, url); !slices.Equal(before, after) {
				t.Errorf("it was changed: %v, before %v", after, before)
			}
		})
	}
}

func TestUnsuitable(t *testing.T) {
	server := pgtest.Shared(t)
	url := pgtest.Database(t)
	server.Exec(t, server.URL("postgres"), `CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'`)
	t.Cleanup(func() { server.Exec(t, server.URL("postgres"), `DROP DATABASE latin WITH (FORCE)`) })
	server.Exec(t, url, `CREATE ROLE guest LOGIN`, `REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
	for _, c := range []struct{ name, url, code, says string }{
		{"wrong password", server.UserURL(pgtest.Locked, secret, "postgres"), "database_unreachable", "password"},
		{"no password", server.UserURL(pgtest.Locked, "", "postgres"), "database_unreachable", "password"},
		{"unknown user", server.UserURL("nobody-knows", secret, "postgres"), "database_unreachable", "user"},
		{"unknown database", server.URL("none"), "invalid_db", `"none"`},
		{"nothing listens", "postgres://u:" + secret + "@127.0.0.1:1/db", "database_unreachable", "127.0.0.1:1"},
		{"no such socket", "postgres:///db?host=/nowhere", "database_unreachable", "no such socket"},
		{"unknown host", "postgres://u:" + secret + "@nowhere.invalid/db", "database_unreachable", "name"},
		{"no address", "postgres://u:" + secret + "@[::1/db", "invalid_db", "understood"},
		{"no port", "postgres://u:" + secret + "@host:port/db", "invalid_db", "understood"},
		{"an odd password", "postgres://u:" + secret + " %zz@host/db", "invalid_db", "understood"},
		{"another encoding", server.URL("latin"), "invalid_db", "LATIN1"},
		{"a user without rights", strings.Replace(url, "postgres@", "guest@", 1), "database_unreachable", "right"},
		{"read only", url + "&default_transaction_read_only=on", "database_unreachable", "read"},
		{"no schema", url + "&search_path=nowhere", "invalid_db", "schema"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := postgres.Open(t.Context(), c.url, true)
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			checkError(t, err, c.code)
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
		})
	}
}

// TestPassword opens with the right one, for a user who owns a schema and nothing else, in
// a database where an extension has brought a view.
func TestPassword(t *testing.T) {
	server := pgtest.Shared(t)
	url := pgtest.Database(t)
	server.Exec(t, url, `CREATE SCHEMA muster AUTHORIZATION `+pgtest.Locked, `CREATE EXTENSION pg_buffercache SCHEMA muster`)
	u := strings.Replace(url, "postgres@", pgtest.Locked+":"+strings.ReplaceAll(pgtest.Password, " ", "%20")+"@", 1) + "&search_path=muster"
	for range 2 {
		made(t, u)
	}
	if left := contents(t, url); len(left) > 0 {
		t.Errorf("made in another schema: %v", left)
	}
}

// TestOpenedTwice opens one new database from many sides at once; all see each other's work.
func TestOpenedTwice(t *testing.T) {
	url := pgtest.Database(t)
	const sides = 6
	ids, errs := make([]int64, sides), make([]error, sides)
	var all sync.WaitGroup
	for i := range sides {
		all.Go(func() {
			s, err := postgres.Open(t.Context(), url, true)
			if err != nil {
				errs[i] = err
				return
			}
			defer s.Close()
			ids[i], errs[i] = s.TenantID(t.Context(), "tenant")
		})
	}
	all.Wait()
	for i := range sides {
		if errs[i] != nil || ids[i] != ids[0] {
			t.Fatalf("side %d: id %d, %v; want %d", i, ids[i], errs[i], ids[0])
		}
	}
}

// TestLeaseClock lets nodes whose clocks are wrong contend for a run: the server's decides.
func TestLeaseClock(t *testing.T) {
	url := pgtest.Database(t)
	one, two := open(t, url), open(t, url)
	ctx, slow := t.Context(), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	fast := slow.AddDate(100, 0, 0)
	c, err := one.SaveConnector(ctx, "c", muster.Settings{}, slow)
	if err != nil {
		t.Fatal(err)
	}
	run, err := one.QueueRun(ctx, c.ID, "sync", false, slow)
	if err != nil {
		t.Fatal(err)
	}
	zombie, _, err := one.ClaimReading(ctx, run, slow, slow.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	held := func(want bool) {
		t.Helper()
		for _, now := range []time.Time{slow, fast} {
			if _, held, active, err := two.ActiveRun(ctx, c.ID, now); err != nil || !active || held != want {
				t.Fatalf("at %s: held %t, active %t, %v; want held %t", now, held, active, err, want)
			}
		}
	}
	held(true)
	if _, err := two.Requeue(ctx, run, fast); !errors.Is(err, muster.ErrConflict) {
		t.Fatalf("a clock that is fast took the lease away: %v", err)
	}
	// A lease that was over when it began has run out for the slowest clock too.
	if _, err := one.Renew(ctx, zombie, fast, fast.Add(-time.Second), wire.Progress{}); err != nil {
		t.Fatal(err)
	}
	held(false)
	if _, err := two.Requeue(ctx, run, slow); err != nil {
		t.Fatal(err)
	}
	l, _, err := two.ClaimReading(ctx, run, slow, slow.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if !l.Until.Equal(slow.Add(time.Second)) {
		t.Errorf("until %s is not by the holder's clock", l.Until)
	}
	if err := one.BeginDataset(ctx, zombie, muster.Machines, slow); !errors.Is(err, muster.ErrLeaseLost) {
		t.Fatalf("the zombie's write: %v", err)
	}
	if err := two.BeginDataset(ctx, l, muster.Machines, slow); err != nil {
		t.Fatal(err)
	}
}

func TestUpgrade(t *testing.T) {
	storetest.Upgrade(t, goose.DialectPostgres, "../relational/migrations/postgres", func(t *testing.T) (*sql.DB, func() storetest.Store) {
		t.Helper()
		url := pgtest.Database(t)
		return raw(t, url), func() storetest.Store { return open(t, url) }
	}, `SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || coalesce(collation_name, '') FROM information_schema.columns WHERE table_schema = 'public'
		UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1`)
}
