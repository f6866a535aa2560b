// Package bench measures whole gatherings of one large dataset with the program as it is
// built, beside the floor that any reader of the same files stands on. It must not know
// how Muster works inside: files, a server and the command line are all it has.
package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
)

// roles are what this test binary does when it is started again by itself: what is
// measured, and what must not disturb the measuring, has a process of its own.
var roles = map[string]func() error{
	"make":   makeFiles,
	"serve":  serve,
	"gunzip": gunzipFloor,
	"encode": encodeFloor,
	"sync":   profiledSync,
}

const roleVariable = "MUSTER_BENCH_ROLE"

func TestMain(m *testing.M) {
	if role := roles[os.Getenv(roleVariable)]; role != nil {
		if err := role(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// sizes are what BENCH may name; 10m measures 1m beside it, for the relation.
var sizes = map[string][]size{
	"100k": {{"100k", 1_000}},
	"":     {{"1m", 10_000}},
	"1m":   {{"1m", 10_000}},
	"10m":  {{"1m", 10_000}, {"10m", 100_000}},
}

// size is a world by its number of devices; each has 100 findings in the mean.
type size struct {
	name    string
	devices int
}

// rounds is how often everything is measured, unless BENCH_ROUNDS says otherwise.
const rounds = 3

// BenchmarkGathering prints its own table: b.N means nothing here, one run is three rounds.
// The environment says what is wanted: BENCH the size, BENCH_ROUNDS another number of
// rounds, BENCH_PROFILE a folder for profiles of each gathering, taken afterwards. The
// files are made once, in .cache/bench, and take 4 GB of disk at 10m.
func BenchmarkGathering(b *testing.B) {
	wanted, ok := sizes[os.Getenv("BENCH")]
	if !ok {
		b.Fatalf("BENCH is %q; it may be 100k, 1m or 10m", os.Getenv("BENCH"))
	}
	rounds := rounds
	if n, err := strconv.Atoi(os.Getenv("BENCH_ROUNDS")); err == nil && n > 0 {
		rounds = n
	}
	cache, err := filepath.Abs(filepath.Join("..", "..", ".cache", "bench"))
	if err != nil {
		b.Fatal(err)
	}
	program := build(b)
	var done []*results
	for _, s := range wanted {
		p := standard
		p.Devices = s.devices
		r := &results{size: s, params: p}
		r.manifest = prepare(b, p, cache)
		for round := range rounds {
			fmt.Fprintf(os.Stdout, "%s: round %d of %d\n", s.name, round+1, rounds)
			r.rounds = append(r.rounds, runRound(b, program, p, r.manifest, filepath.Join(cache, p.key()), b.TempDir()))
		}
		r.print(os.Stdout)
		done = append(done, r)
	}
	if len(done) == 2 {
		done[1].printRelation(os.Stdout, done[0])
	}
	if dir := os.Getenv("BENCH_PROFILE"); dir != "" {
		last := done[len(done)-1]
		profile(b, dir, last.params, last.manifest, filepath.Join(cache, last.params.key()))
	}
}

// TestGathering runs one small round, so that the benchmark is known to work; runRound
// itself compares what the program says of every gathering with what the files hold.
func TestGathering(t *testing.T) {
	p := standard
	p.Devices, p.Files, p.Page = 10, 3, 4
	dir := t.TempDir()
	m := prepare(t, p, dir)
	if m.Rows < 500 || m.Rows > 1500 || m.Changed[clustered] == 0 {
		t.Fatalf("the files hold %d rows, %v of them changed", m.Rows, m.Changed)
	}
	r := runRound(t, build(t), p, m, filepath.Join(dir, p.key()), t.TempDir())
	for _, name := range measured {
		if r.figures[name].wall <= 0 {
			t.Errorf("%s was not measured", name)
		}
	}
	results := &results{size: size{"1k", p.Devices}, params: p, manifest: m, rounds: []round{r}}
	results.print(t.Output())
}

func header(p params, m manifest) string {
	return fmt.Sprintf("seed %d, %d devices, %d findings in %d files (%d MB packed, %d MB of JSON, %d bytes a row), %d software versions, %d CVEs,\n"+
		"Zipf s=%g v=%g, shuffled over all files, %d%% of machine and software pairs with paths of their own. %s %s/%s, %d processors.",
		p.Seed, p.Devices, m.Rows, p.Files, m.Packed>>20, m.Bytes>>20, m.Bytes/max(1, m.Rows), p.Versions, p.CVEs,
		p.ZipfS, p.ZipfV, p.OwnPaths, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}

func median[T int64 | float64 | time.Duration](values []T) T {
	values = slices.Clone(values)
	slices.Sort(values)
	return values[len(values)/2]
}
