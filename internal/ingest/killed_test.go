package ingest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
)

// A merge killed before any of its transactions and taken over ends as one that nobody
// disturbed. make soak kills before each, make test before some.
func TestKillEverywhere(t *testing.T) {
	script := func(t *testing.T, kill int) (string, int) {
		r := newRig(t)
		calls := 0
		one := func(n string, f muster.Filter, day int, rejected bool, ms []mach, vs []vuln) {
			g := r.begin(n, f)
			b := machineBatch(1, ms...)
			if rejected {
				b.Rejected = []wire.Rejected{{Machine: "m000", Reason: "bad"}}
			}
			g.stage(muster.Machines, at(day, 5), b)
			g.done(muster.Machines, at(day, 5), muster.Complete)
			_, err := r.sink.Scope(t.Context(), g.lease)
			r.must(err)
			g.read(muster.Vulnerabilities, at(day, 0), vulnBatch(1, vs...))
			g.read(muster.Configuration, at(day, 0), confBatch(1, vs...))
			g.end()
			for {
				l, _, err := r.db.ClaimMerge(t.Context(), g.lease.Run, r.now, r.now.Add(15*time.Second))
				r.must(err)
				r.db.hook = func(string) { calls++ }
				if kill >= 0 {
					r.db.left = kill - calls
					if r.db.left < 0 {
						r.db.left = -1
					}
				}
				w, err := r.sink.Merge(t.Context(), l)
				if err != nil && strings.Contains(err.Error(), "killed") {
					kill = -1
					r.db.left = -1
					r.now = r.now.Add(time.Minute)
					r.restart()
					continue
				}
				r.must(err)
				r.must(r.db.EndRun(t.Context(), l, muster.Succeeded, w, nil, r.now))
				break
			}
		}
		var ms []mach
		var vs []vuln
		for i := range 600 {
			id := fmt.Sprintf("m%03d", i)
			m := mach{id: id, first: ts(1, 0), last: ts(1, 0)}
			if i%2 == 0 {
				m.tag = "T"
			}
			ms = append(ms, m)
			for k := range 12 {
				vs = append(vs, vuln{id, "p", fmt.Sprint("CVE-", k), ts(1, 0)})
			}
		}
		one("one", muster.Filter{}, 1, false, ms, vs)
		// day 2: m001 re-imaged as x, m003 merged into m005, m007 without findings, others lose one; m000's row is rejected
		day := func(d int) (nm []mach, nv []vuln) {
			for _, m := range ms {
				m.last = ts(d, 0)
				switch m.id {
				case "m000":
					continue
				case "m001":
					m.last = ts(1, 0)
				case "m003":
					m.merged = "m005"
				case "m009":
					if d >= 3 {
						continue
					}
				}
				nm = append(nm, m)
			}
			for i, v := range vs {
				v.seen = ts(d, 0)
				if v.machine == "m007" || (i+d)%13 == 0 {
					continue
				}
				nv = append(nv, v)
			}
			return
		}
		nm, nv := day(2)
		one("one", muster.Filter{}, 2, true, nm, nv)
		one("two", muster.Filter{Tags: []string{"T"}}, 2, true, nm, nv)
		nm, nv = day(3)
		one("one", muster.Filter{Tags: []string{"T"}}, 3, true, nm, nv)
		nm, nv = day(4)
		one("one", muster.Filter{}, 4, true, nm, nv)
		nm, nv = day(5)
		one("one", muster.Filter{}, 5, true, nm, nv)
		all := r.everything()
		// what exports do not show
		r.must(r.db.TenantMachines(t.Context(), 1, func(m store.MachineRow) error {
			all += fmt.Sprintln(m.MachineID, m.UnseenSince, m.MissingSince)
			return nil
		}))
		runs, err := r.db.RunsAbove(t.Context(), 0, 100)
		r.must(err)
		for _, run := range runs {
			for _, d := range muster.Datasets {
				if x := run.Datasets[d]; x != nil {
					all += fmt.Sprintln(run.ID, d, x.Counts)
				}
			}
		}
		return all, calls
	}
	clean, calls := script(t, -1)
	t.Log(calls, "transactions")
	step := 9
	if os.Getenv("MUSTER_SOAK") != "" {
		step = 1
	}
	for k := rand.IntN(step); k < calls; k += step {
		got, _ := script(t, k)
		if got != clean {
			a, b := strings.Split(clean, "\n"), strings.Split(got, "\n")
			for i := range a {
				if i >= len(b) || a[i] != b[i] {
					t.Errorf("killed before transaction %d, differs:\n clean %.400s\n got   %.400s", k, a[i], b[i])
					break
				}
			}
		}
	}
}
