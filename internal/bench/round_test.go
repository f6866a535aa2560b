package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// figure is what one process has cost.
type figure struct {
	wall, cpu time.Duration
	rss       int64 // the most memory it held at once, in bytes; 0 = not to be had here
	written   int64 // bytes made dirty in the file system's cache, the least that goes to the disk
}

// What is measured in every round, in this order.
const (
	gunzip  = "gunzip and lines alone"
	encode  = "encode floor"
	first   = "first gathering"
	again   = "same again, read whole"
	skipped = "same again, not downloaded"
	cluster = "1% changed, clustered"
	scatter = "1% changed, scattered"
)

var measured = []string{gunzip, encode, first, again, skipped, cluster, scatter}

// round is one pass over everything that is measured, on a database of its own.
type round struct {
	figures  map[string]figure
	database int64            // bytes after the last gathering but the changes
	tables   map[string]int64 // its largest tables and indexes
}

// build makes the program as make build does.
func build(tb testing.TB) string {
	tb.Helper()
	program := filepath.Join(tb.TempDir(), "muster")
	cmd := exec.CommandContext(tb.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, "muster/cmd/muster")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// role is this binary, started for one of its roles.
func role(tb testing.TB, name string, p params, dir string) *exec.Cmd {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), self)
	cmd.Env = append(os.Environ(), roleVariable+"="+name, dirVariable+"="+dir, paramsVariable+"="+string(text))
	return cmd
}

// child runs a role to its end.
func child(tb testing.TB, name string, p params, dir string) (figure, []byte) {
	tb.Helper()
	return measure(tb, role(tb, name, p, dir))
}

// measure runs a command and tells what it has cost.
func measure(tb testing.TB, cmd *exec.Cmd) (figure, []byte) {
	tb.Helper()
	var out, failure bytes.Buffer
	cmd.Stdout = &out
	if cmd.Stderr == nil {
		cmd.Stderr = &failure
	}
	began := time.Now()
	err := cmd.Run()
	f := figure{wall: time.Since(began)}
	if err != nil {
		tb.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out.Bytes(), failure.Bytes())
	}
	f.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	f.rss, f.written = usage(cmd.ProcessState)
	return f, out.Bytes()
}

// source is the server's process as its user sees it.
type source struct {
	orders  io.WriteCloser
	answers *bufio.Reader
	flags   []string
	env     []string
}

func startSource(tb testing.TB, p params, dir string) *source {
	tb.Helper()
	cmd := role(tb, "serve", p, dir)
	cmd.Stderr = os.Stderr
	orders, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	s := &source{orders: orders, answers: bufio.NewReader(out)}
	tb.Cleanup(func() {
		s.orders.Close()
		if err := cmd.Wait(); err != nil && tb.Context().Err() == nil {
			tb.Error(err)
		}
	})
	var at struct{ URL, CA string }
	line, err := s.answers.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &at)
	}
	if err != nil {
		tb.Fatal(err)
	}
	ca := filepath.Join(tb.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte(at.CA), 0o600); err != nil {
		tb.Fatal(err)
	}
	s.flags = []string{"--login-url", at.URL, "--api-url", at.URL, "--ca-file", ca, "--tenant-id", tenantID, "--client-id", clientID}
	s.env = append(os.Environ(), "MUSTER_CLIENT_SECRET="+secret)
	return s
}

// offer sets the snapshot that the export names from now on.
func (s *source) offer(tb testing.TB, now snapshot) {
	tb.Helper()
	fmt.Fprintln(s.orders, now.set, now.hoursAgo)
	if line, err := s.answers.ReadString('\n'); err != nil || line != "ok\n" {
		tb.Fatalf("the server answers %q: %v", line, err)
	}
}

func (s *source) arguments(db string, more ...string) []string {
	return append(append([]string{"sync", "--json", "--datasets", "vulnerabilities", "--db", "sqlite:" + db}, s.flags...), more...)
}

// gathering is one call of the program and what it must say it has done.
type gathering struct {
	name string
	now  snapshot
	more []string
	want counts
}

// counts are those of the dataset in the program's summary.
type counts struct {
	Mode                                                        string
	Read, New, Changed, Unchanged, Closed, Rejected, Duplicates int64
}

// gatherings are the five of a round. Their snapshots are six hours apart, as the source's.
func gatherings(m manifest) []gathering {
	full := func(n, closed int64) counts {
		return counts{Mode: "full", Read: m.Rows, New: n, Closed: closed, Unchanged: m.Rows - n}
	}
	return []gathering{
		{first, snapshot{base, 24}, nil, full(m.Rows, 0)},
		{again, snapshot{base, 18}, []string{"--full"}, full(0, 0)},
		{skipped, snapshot{base, 18}, nil, counts{Mode: "unchanged"}},
		{cluster, snapshot{clustered, 12}, nil, full(m.Changed[clustered], m.Changed[clustered])},
		{scatter, snapshot{scattered, 6}, nil, full(m.Changed[scattered], m.Changed[scattered])},
	}
}

// check compares a summary with what the files hold.
func (g gathering) check(tb testing.TB, output []byte) {
	tb.Helper()
	var report struct {
		State    string
		Datasets map[string]counts
	}
	if err := json.Unmarshal(output, &report); err != nil {
		tb.Fatalf("%v\n%s", err, output)
	}
	if got := report.Datasets["vulnerabilities"]; report.State != "succeeded" || got != g.want {
		tb.Errorf("%s: got %+v, want %+v\n%s", g.name, got, g.want, output)
	}
}

func runRound(tb testing.TB, program string, p params, m manifest, files, dir string) round {
	tb.Helper()
	r := round{figures: map[string]figure{}}
	for _, name := range []string{gunzip, encode} {
		f, out := child(tb, map[string]string{gunzip: "gunzip", encode: "encode"}[name], p, files)
		if text := strings.TrimSpace(string(out)); text != fmt.Sprint(m.Rows) {
			tb.Fatalf("%s has read %s rows, want %d", name, text, m.Rows)
		}
		r.figures[name] = f
	}
	db := filepath.Join(dir, "muster.db")
	far := startSource(tb, p, files)
	for _, g := range gatherings(m) {
		far.offer(tb, g.now)
		cmd := exec.CommandContext(tb.Context(), program, far.arguments(db, g.more...)...)
		cmd.Env = far.env
		f, out := measure(tb, cmd)
		r.figures[g.name] = f
		g.check(tb, out)
		if g.name == skipped {
			r.database, r.tables = weigh(tb, db)
		}
	}
	if err := os.Remove(db); err != nil {
		tb.Fatal(err)
	}
	return r
}
