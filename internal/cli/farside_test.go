package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/defender/emulator"
)

// farSide is an emulated tenant with a clock that a test moves; Muster's clock goes with it.
type farSide struct {
	t      *testing.T
	world  *emulator.World
	server *emulator.Server
	files  access
	now    time.Time
	env    map[string]string
}

// epoch is day 0 of the emulated worlds.
var epoch = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)

func newFarSide(t *testing.T, o emulator.Options, adjust ...func(*emulator.ServerOptions)) *farSide {
	t.Helper()
	o.Epoch = epoch
	f := &farSide{t: t, world: emulator.NewWorld(o), env: map[string]string{}}
	f.at(0)
	options := emulator.ServerOptions{World: f.world, Now: func() time.Time { return f.now }, RateLimits: -1}
	for _, a := range adjust {
		a(&options)
	}
	var err error
	if f.server, err = emulator.Start(options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.server.Close(); err != nil {
			t.Error(err)
		}
	})
	if f.files, err = saveAccess(t.TempDir(), f.server); err != nil {
		t.Fatal(err)
	}
	return f
}

// at moves the world to the middle of a day.
func (f *farSide) at(day int) { f.now = epoch.AddDate(0, 0, day).Add(10*time.Hour + 15*time.Minute) }

// flags name the emulated tenant on a command line.
func (f *farSide) flags() []string {
	return []string{
		"--login-url", f.server.LoginURL(), "--api-url", f.server.APIURL(), "--ca-file", f.files.ca, "--tenant-id", f.server.TenantID(),
		"--client-id", f.server.ClientID(), "--client-secret-file", f.files.secret,
	}
}

// muster runs one command in process.
func (f *farSide) muster(args ...string) (code int, stdout, stderr string) {
	f.t.Helper()
	return f.musterContext(f.t.Context(), args...)
}

func (f *farSide) musterContext(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	a := App{Args: args, Stdout: &out, Stderr: &errs, Getenv: func(name string) string { return f.env[name] }, Now: func() time.Time { return f.now }}
	code = a.Run(ctx)
	return code, out.String(), errs.String()
}

// sync gathers and expects success.
func (f *farSide) sync(db string, more ...string) runJSON {
	f.t.Helper()
	code, out, errs := f.muster(append(append([]string{"sync", "--db", databaseURL(db), "--json"}, f.flags()...), more...)...)
	var run runJSON
	if err := json.Unmarshal([]byte(out), &run); err != nil {
		f.t.Fatalf("sync printed %q (%v), %s", out, err, errs)
	}
	if code != exitDone && code != exitWarnings {
		f.t.Fatalf("sync ended with %d: %s%s", code, out, errs)
	}
	addUp(f.t, run)
	return run
}

// export gives the rows of one export.
func (f *farSide) export(db, what string, more ...string) []map[string]any {
	f.t.Helper()
	code, out, errs := f.muster(append([]string{"export", what, "--db", databaseURL(db)}, more...)...)
	if code != exitDone {
		f.t.Fatalf("export %s ended with %d: %s", what, code, errs)
	}
	var rows []map[string]any
	d := json.NewDecoder(bytes.NewReader([]byte(out)))
	for d.More() {
		var row map[string]any
		if err := d.Decode(&row); err != nil {
			f.t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// databaseURL names a database as --db does: a path is an SQLite file's.
func databaseURL(db string) string {
	if strings.HasPrefix(db, "postgres://") {
		return db
	}
	return "sqlite:" + db
}

// postgresURL has a password that nobody may see again.
func postgresURL(host string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("u", wrongSecret), Host: host, Path: "/db"}
	return u.String()
}

// tempDatabase names a database of its own. Whatever a test does to it, everything in it
// agrees when the test has ended.
func tempDatabase(t *testing.T) string {
	t.Helper()
	db := filepath.Join(t.TempDir(), "muster.db")
	t.Cleanup(func() { verified(t, db) })
	return db
}

// verified expects that muster verify finds nothing in a database, if there is one.
func verified(t *testing.T, db string) {
	t.Helper()
	if _, err := os.Stat(db); err != nil && databaseURL(db) != db {
		return
	}
	var out, errs bytes.Buffer
	a := App{Args: []string{"verify", "--db", databaseURL(db)}, Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Now: time.Now}
	if code := a.Run(context.WithoutCancel(t.Context())); code != exitDone {
		t.Errorf("verify ended with %d: %s%s", code, out.String(), errs.String())
	}
}

// soaking tells whether the long form of a test was asked for (make soak).
func soaking() bool { return os.Getenv("MUSTER_SOAK") != "" }
