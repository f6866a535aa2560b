package main_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"muster/internal/defender/emulator"
)

// outcome is what this test looks at of the object that --json prints.
type outcome struct {
	State string `json:"state"`
	Error *struct {
		Code string `json:"code"`
	} `json:"error"`
}

func outcomeOf(t *testing.T, text []byte) outcome {
	t.Helper()
	var o outcome
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatalf("standard output is no JSON object (%v): %s", err, text)
	}
	return o
}

// TestInterrupt: while one process gathers, another one is refused; an interrupt ends the
// first as cancelled with exit code 1, and the next gathering is whole.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	var hanging atomic.Bool
	asked := make(chan struct{}, 1)
	tn := startTenant(t, 30, func(o *emulator.ServerOptions) {
		o.Faults = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !hanging.Load() || !strings.Contains(r.URL.Path, "/VaExport/") {
					next.ServeHTTP(w, r)
					return
				}
				asked <- struct{}{}
				<-r.Context().Done()
			})
		}
	})
	dir := t.TempDir()
	clean, db := filepath.Join(dir, "clean.db"), filepath.Join(dir, "muster.db")
	if out, err := tn.sync(t.Context(), clean).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	hanging.Store(true)
	var stdout, stderr bytes.Buffer
	first := tn.sync(t.Context(), db)
	first.Stdout, first.Stderr = &stdout, &stderr
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	second := tn.sync(t.Context(), db)
	out, err := second.Output()
	if o := outcomeOf(t, out); second.ProcessState.ExitCode() != 1 || o.State != "failed" || o.Error == nil || o.Error.Code != "connector_busy" {
		t.Errorf("a second process: %v, %s", err, out)
	}
	if err := first.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err = first.Wait()
	if o := outcomeOf(t, stdout.Bytes()); first.ProcessState.ExitCode() != 1 || o.State != "cancelled" || o.Error != nil || stderr.Len() > 0 {
		t.Errorf("the interrupted process: %v, %s%s", err, &stdout, &stderr)
	}
	hanging.Store(false)
	if out, err := tn.sync(t.Context(), db).CombinedOutput(); err != nil {
		t.Fatalf("the sync after it: %v\n%s", err, out)
	}
	if got, want := exports(t, db), exports(t, clean); got != want {
		t.Errorf("the data differ from a clean run's: %s", firstDifference(got, want))
	}
}
