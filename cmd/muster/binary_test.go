package main_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/defender/emulator"
	"muster/internal/store/postgres/pgtest"
)

var binary string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "muster-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "muster")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// tenant is an emulated tenant on the real clock and the flags that name it.
type tenant struct {
	server *emulator.Server
	flags  []string
}

func startTenant(t *testing.T, devices int, adjust ...func(*emulator.ServerOptions)) tenant {
	t.Helper()
	world := emulator.NewWorld(emulator.Options{Devices: devices, Seed: 7, Epoch: time.Now().UTC().Truncate(24 * time.Hour)})
	// The clock stands still, so that a snapshot never changes in the middle of a test.
	start := time.Now()
	options := emulator.ServerOptions{World: world, Now: func() time.Time { return start }, RateLimits: -1, PartMachines: 10}
	for _, a := range adjust {
		a(&options)
	}
	server, err := emulator.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	for name, content := range map[string][]byte{"ca.pem": server.CAPEM(), "secret": []byte(server.Secret())} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tenant{server, []string{
		"--login-url", server.LoginURL(), "--api-url", server.APIURL(), "--ca-file", filepath.Join(dir, "ca.pem"),
		"--tenant-id", server.TenantID(), "--client-id", server.ClientID(), "--client-secret-file", filepath.Join(dir, "secret"),
	}}
}

func (tn tenant) sync(ctx context.Context, db string) *exec.Cmd {
	return exec.CommandContext(ctx, binary, append([]string{"sync", "--db", databaseURL(db), "--json"}, tn.flags...)...)
}

// databaseURL names a database as --db does: a path is an SQLite file's.
func databaseURL(db string) string {
	if strings.HasPrefix(db, "postgres://") {
		return db
	}
	return "sqlite:" + db
}

// exports gives all exports of a database but runs as one text.
func exports(t *testing.T, db string) string {
	t.Helper()
	var all bytes.Buffer
	for _, what := range []string{"devices", "machines", "software", "findings", "configuration", "vulnerabilities", "history", "totals"} {
		cmd := exec.CommandContext(t.Context(), binary, "export", what, "--db", databaseURL(db), "--state", "all", "--scope", "all")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("export %s: %v", what, err)
		}
		fmt.Fprintf(&all, "# %s\n%s", what, out)
	}
	return all.String()
}

// TestKilledSync kills the program at random moments; the sync after it must leave the
// same data as one that nobody disturbed, which on both engines are the same bytes.
func TestKilledSync(t *testing.T) {
	tn := startTenant(t, 60)
	clean := filepath.Join(t.TempDir(), "clean.db")
	began := time.Now()
	if out, err := tn.sync(t.Context(), clean).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	took := time.Since(began)
	want := exports(t, clean)

	kills, onPostgres := 8, 3
	if os.Getenv("MUSTER_SOAK") != "" {
		kills, onPostgres = 100, 100
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range kills + onPostgres {
		engine, database := "SQLite", func(t *testing.T) string { return filepath.Join(t.TempDir(), "muster.db") }
		if i >= kills {
			engine, database = "PostgreSQL", func(t *testing.T) string { return pgtest.Database(t) }
		}
		delay := time.Duration(random.Int64N(int64(took * 5 / 4)))
		t.Run(fmt.Sprintf("%s %d after %s", engine, i, delay.Round(time.Millisecond)), func(t *testing.T) {
			t.Parallel()
			db := database(t)
			kill, cancel := context.WithTimeout(t.Context(), delay)
			defer cancel()
			_ = tn.sync(kill, db).Run() // exec kills with SIGKILL when the time is over
			out, err := tn.sync(t.Context(), db).CombinedOutput()
			if err != nil {
				t.Fatalf("the sync after the kill: %v\n%s", err, out)
			}
			if got := exports(t, db); got != want {
				t.Errorf("the data differ from a clean run's: %s", firstDifference(got, want))
			}
			if out, err := exec.CommandContext(t.Context(), binary, "verify", "--db", databaseURL(db)).CombinedOutput(); err != nil {
				t.Errorf("verify: %v\n%s", err, out)
			}
		})
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d:\n got %s\nwant %s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}
