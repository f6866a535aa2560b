package postgres_test

import (
	"database/sql"
	"testing"

	"muster/internal/store/postgres"
	"muster/internal/store/postgres/pgtest"
	"muster/internal/store/relational"
	"muster/internal/store/storetest"
)

// open gives the store in a database, closed at the end of the test.
func open(t testing.TB, url string) *relational.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// made brings a database's schema up.
func made(t testing.TB, url string) {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// raw opens the database beside the store.
func raw(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// callersClock lets leases go by the time that each call brings, as the suite expects.
const callersClock = `CREATE OR REPLACE FUNCTION muster_lease_clock(caller BIGINT) RETURNS BIGINT LANGUAGE sql VOLATILE AS 'SELECT caller'`

// emptied takes all rows out of a database, in a small part of the time that making one
// takes; references between tables do not matter meanwhile.
const emptied = `DO $$ DECLARE name TEXT; BEGIN
	SET LOCAL session_replication_role = replica;
	FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'muster_version' LOOP EXECUTE 'DELETE FROM ' || quote_ident(name); END LOOP;
END $$`

func TestContract(t *testing.T) {
	url := pgtest.Database(t)
	made(t, url)
	pgtest.Shared(t).Exec(t, url, callersClock)
	storetest.Run(t, func(t *testing.T) storetest.Store {
		t.Helper()
		pgtest.Shared(t).Exec(t, url, emptied)
		return open(t, url)
	})
}

func TestDamage(t *testing.T) {
	storetest.Damage(t, func(t *testing.T) (storetest.Store, *sql.DB) {
		t.Helper()
		url := pgtest.Database(t)
		return open(t, url), raw(t, url)
	})
}
