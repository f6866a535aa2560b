package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/cli"
)

const profileVariable = "MUSTER_BENCH_PROFILE"

// profile runs the gatherings once more, in this binary instead of the program, and
// leaves of each a CPU profile and the heap at its largest in dir.
func profile(tb testing.TB, dir string, p params, m manifest, files string) {
	tb.Helper()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		tb.Fatal(err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		tb.Fatal(err)
	}
	db := filepath.Join(tb.TempDir(), "muster.db")
	far := startSource(tb, p, files)
	for i, g := range gatherings(m) {
		far.offer(tb, g.now)
		name := filepath.Join(dir, fmt.Sprintf("%d-%s", i+1, strings.NewReplacer(" ", "-", ",", "", "%", "").Replace(g.name)))
		cmd := role(tb, "sync", p, files)
		cmd.Args = append(cmd.Args[:1], far.arguments(db, g.more...)...)
		cmd.Env = append(cmd.Env, "MUSTER_CLIENT_SECRET="+secret, profileVariable+"="+name)
		cmd.Stderr = os.Stderr
		f, out := measure(tb, cmd)
		g.check(tb, out)
		fmt.Fprintf(os.Stdout, "profiled %s: %.2f s, %d MB: %s.cpu, .heap, .allocs\n", g.name, f.wall.Seconds(), f.rss/mb, name)
	}
}

// profiledSync is the role that is the program with a profiler beside it.
func profiledSync() error {
	name := os.Getenv(profileVariable)
	cpu, err := os.Create(name + ".cpu")
	if err != nil {
		return err
	}
	defer cpu.Close()
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	ended := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() { keepLargestHeap(name+".heap", ended) })
	app := cli.App{Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now}
	code := app.Run(context.Background())
	pprof.StopCPUProfile()
	close(ended)
	group.Wait()
	allocs, err := os.Create(name + ".allocs")
	if err != nil {
		return err
	}
	defer allocs.Close()
	if err := pprof.Lookup("allocs").WriteTo(allocs, 0); err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("exit code %d", code)
	}
	return nil
}

func keepLargestHeap(path string, ended <-chan struct{}) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var largest uint64
	var m, at runtime.MemStats
	for {
		select {
		case <-ended:
			fmt.Fprintf(os.Stderr, "largest heap: %d MB in use, %d MB idle, %d MB from the system in all\n", at.HeapInuse/mb, (at.HeapIdle-at.HeapReleased)/mb, at.Sys/mb)
			return
		case <-tick.C:
		}
		runtime.ReadMemStats(&m)
		if m.HeapInuse <= largest+largest/20 {
			continue
		}
		largest, at = m.HeapInuse, m
		if f, err := os.Create(path); err == nil {
			_ = pprof.Lookup("heap").WriteTo(f, 0)
			f.Close()
		}
	}
}
