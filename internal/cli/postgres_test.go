package cli

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/internal/defender/emulator"
	"muster/internal/store/postgres/pgtest"
)

// TestPostgresCut gathers while the server ends connections at any moment, and is stopped
// and started once. A gathering may fail by that, but says so, and the one after it leaves
// the same data as one that nobody disturbed.
func TestPostgresCut(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 60, Seed: 5})
	clean := tempDatabase(t)
	f.sync(clean)
	server := pgtest.Own(t)
	url := server.URL("postgres")
	db, err := openDatabase(t.Context(), url, true)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	stop, stopped := make(chan struct{}), make(chan struct{})
	cuts := 0
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(rand.N(200 * time.Millisecond)):
			}
			if n == 5 {
				if err := server.Stop(); err != nil {
					t.Error(err)
				}
				if err := server.Start(t.Context()); err != nil {
					t.Error(err)
				}
			}
			c, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Error(err)
				return
			}
			var cut int
			if err := c.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'muster'`).Scan(&cut); err != nil {
				t.Error(err)
			}
			cuts += cut
			c.Close(t.Context())
		}
	}()
	failed := 0
	for range 4 {
		code, _, errs := f.muster(append([]string{"sync", "--db", url}, f.flags()...)...)
		if code == exitDone || code == exitWarnings {
			continue
		}
		if failed++; !strings.Contains(errs, "[database_unreachable]") {
			t.Errorf("it failed otherwise: %s", errs)
		}
	}
	close(stop)
	<-stopped
	if t.Logf("%d connections cut, %d of 4 gatherings failed", cuts, failed); cuts == 0 {
		t.Error("no connection was cut")
	}
	f.sync(url)
	for _, what := range []string{"devices", "machines", "software", "findings", "configuration", "vulnerabilities"} {
		args := []string{"--state", "all", "--scope", "all"}
		got, want := f.export(url, what, args...), f.export(clean, what, args...)
		compareRows(t, what, got, want)
	}
}
