package sqlite_test

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"muster"
	"muster/internal/store/sqlite"
	"muster/internal/store/storetest"
)

// raw opens the file beside the store.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t *testing.T, path string, queries ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range queries {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamage(t *testing.T) {
	storetest.Damage(t, func(t *testing.T) (storetest.Store, *sql.DB) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "muster.db")
		return open(t, path), raw(t, path)
	})
}

// folder reads all files of a folder.
func folder(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(data)
	}
	return files
}

func made(t *testing.T, path string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRefused opens what must not be touched: each has its code, and every file of the
// folder is as it was.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, code string
		create     bool
		prepare    func(t *testing.T, path string)
	}{
		{"a newer database", "database_newer", true, func(t *testing.T, path string) {
			t.Helper()
			made(t, path)
			exec(t, path, `INSERT INTO muster_version (version_id, is_applied) VALUES (999, 1)`)
		}},
		{"another program's", "invalid_db", true, func(t *testing.T, path string) {
			t.Helper()
			exec(t, path, `CREATE TABLE bookmarks (id INTEGER PRIMARY KEY, url TEXT)`, `INSERT INTO bookmarks (url) VALUES ('x')`)
		}},
		{"another program's with one view", "invalid_db", true, func(t *testing.T, path string) {
			t.Helper()
			exec(t, path, `CREATE VIEW muster_devices AS SELECT 1 AS one`)
		}},
		{"no database", "invalid_db", true, func(t *testing.T, path string) {
			t.Helper()
			write(t, path, bytes.Repeat([]byte("PK\x03\x04 not a database "), 500))
		}},
		{"a text of one line", "invalid_db", true, func(t *testing.T, path string) {
			t.Helper()
			write(t, path, []byte("hello\n"))
		}},
		{"a database cut short", "invalid_db", true, func(t *testing.T, path string) {
			t.Helper()
			made(t, path)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, data[:len(data)/2])
		}},
		{"a folder", "invalid_db", true, func(t *testing.T, path string) {
			t.Helper()
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
		{"nothing where something must be", "invalid_db", false, func(*testing.T, string) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "muster.db")
			c.prepare(t, path)
			before := folder(t, dir)
			s, err := sqlite.Open(t.Context(), path, c.create)
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			checkError(t, err, c.code)
			after := folder(t, dir)
			for name, data := range before {
				if after[name] != data {
					t.Errorf("%s was changed", name)
				}
			}
			for name := range after {
				if _, was := before[name]; !was {
					t.Errorf("%s was left behind", name)
				}
			}
		})
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func checkError(t *testing.T, err error, code string) {
	t.Helper()
	var e *muster.Error
	if !errors.As(err, &e) || e.Code != code || e.Message == "" || e.Advice == "" {
		t.Fatalf("error = %#v (%v), want code %s with a sentence and advice", e, err, code)
	}
}

// readOnly is a folder in which nobody may make a file, the superuser not excepted.
func readOnly(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o700) })
	trial := filepath.Join(dir, "trial")
	if os.WriteFile(trial, nil, 0o600) != nil {
		return dir
	}
	os.Remove(trial)
	return "/proc/self/fdinfo"
}

func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	if _, err := sqlite.Open(t.Context(), filepath.Join(dir, "none", "muster.db"), true); err == nil {
		t.Error("a folder that does not exist was taken")
	} else {
		checkError(t, err, "invalid_db")
	}
	if s, err := sqlite.Open(t.Context(), filepath.Join(readOnly(t), "muster.db"), true); err == nil {
		s.Close()
		t.Error("a folder that cannot be written to was taken")
	} else {
		checkError(t, err, "database_unreachable")
	}
}

// TestAwkwardPaths opens, writes and finds again databases whose paths mean something in a URI.
func TestAwkwardPaths(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a b.db", "what?.db", "50%.db", "%41.db", "a#b.db", "a?mode=memory&cache=shared", "ä ö.db", ":memory:", "file:x.db", "a'b\".db", "+.db", "a&b=c;d.db"} {
		path := filepath.Join(dir, name)
		made(t, path)
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%q was made elsewhere: %v", name, err)
		}
		s, err := sqlite.Open(t.Context(), path, false)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if _, err := s.SaveConnector(t.Context(), "c", muster.Settings{}, time.Unix(0, 0)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := s.Connector(t.Context(), "c"); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		s.Close()
		if err := os.Remove(path); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if left := folder(t, dir); len(left) > 0 {
		t.Errorf("files beside the databases: %v", left)
	}
}

func TestRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	made(t, "muster.db")
	if _, err := os.Stat("muster.db"); err != nil {
		t.Fatal(err)
	}
}

// TestOpenedTwice opens one new file from many sides at once; all see each other's work.
func TestOpenedTwice(t *testing.T) {
	for range 5 {
		path := filepath.Join(t.TempDir(), "muster.db")
		const sides = 6
		ids, errs := make([]int64, sides), make([]error, sides)
		var all sync.WaitGroup
		for i := range sides {
			all.Go(func() {
				s, err := sqlite.Open(t.Context(), path, true)
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
}

// TestTwoPrograms claims, loses and takes over a run between two handles of one file.
func TestTwoPrograms(t *testing.T) {
	path := filepath.Join(t.TempDir(), "muster.db")
	one, two := open(t, path), open(t, path)
	ctx, now := t.Context(), time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	c, err := one.SaveConnector(ctx, "c", muster.Settings{}, now)
	if err != nil {
		t.Fatal(err)
	}
	run, err := one.QueueRun(ctx, c.ID, "sync", false, now)
	if err != nil {
		t.Fatal(err)
	}
	zombie, _, err := one.ClaimReading(ctx, run, now, now.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := two.ClaimReading(ctx, run, now, now.Add(time.Second)); !errors.Is(err, muster.ErrConflict) {
		t.Fatalf("the second claim: %v", err)
	}
	if _, err := two.Requeue(ctx, run, now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	l, _, err := two.ClaimReading(ctx, run, now, now.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if err := one.BeginDataset(ctx, zombie, muster.Machines, now); !errors.Is(err, muster.ErrLeaseLost) {
		t.Fatalf("the zombie's write: %v", err)
	}
	if err := two.BeginDataset(ctx, l, muster.Machines, now); err != nil {
		t.Fatal(err)
	}
}

func TestReopenKeepsData(t *testing.T) {
	path := filepath.Join(t.TempDir(), "muster.db")
	s := open(t, path)
	id, err := s.TenantID(t.Context(), "tenant")
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.HashKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for range 2 {
		made(t, path) // the schema is current: nothing to migrate
	}
	again := open(t, path)
	if got, err := again.TenantID(t.Context(), "tenant"); err != nil || got != id {
		t.Errorf("tenant %d, %v; want %d", got, err, id)
	}
	if got, err := again.HashKey(t.Context()); err != nil || !bytes.Equal(got, key) {
		t.Errorf("another key: %v", err)
	}
}

func TestUpgrade(t *testing.T) {
	storetest.Upgrade(t, goose.DialectSQLite3, "../relational/migrations/sqlite", func(t *testing.T) (*sql.DB, func() storetest.Store) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "muster.db")
		return raw(t, path), func() storetest.Store { return open(t, path) }
	}, `SELECT m.name || '.' || c.name || ' ' || c.type || ' ' || c.pk FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1`)
}
