package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"muster"
	"muster/internal/wire"
)

// A second connector of the tenant learns that a machine is missing, too.
func TestMissingForSecondConnector(t *testing.T) {
	r := newRig(t)
	a, b := mach{id: "a", first: ts(1, 0), last: ts(1, 0)}, mach{id: "b", first: ts(1, 0), last: ts(1, 0)}
	c, d := mach{id: "c", first: ts(1, 0), last: ts(1, 0)}, mach{id: "d", first: ts(1, 0), last: ts(1, 0)}
	for _, n := range []string{"one", "two"} {
		g := r.begin(n, muster.Filter{})
		g.list(at(1, 1), a, b, c, d)
		g.merge()
	}
	for i, n := range []string{"one", "two", "one", "two", "one", "two"} {
		g := r.begin(n, muster.Filter{})
		g.list(at(2+i, i), a, b, c)
		g.merge()
	}
	for line := range strings.SplitSeq(r.export("machines"), "\n") {
		if strings.Contains(line, `"machine_id":"d"`) && !strings.Contains(line, `"in_scope":false`) {
			t.Errorf("d is gone for days and still in scope: %.200s", line)
		}
	}
}

// V2: two connectors at the same time, the earlier list merged later.
func TestEarlierListMergedLater(t *testing.T) {
	r := newRig(t)
	a := mach{id: "a", first: ts(1, 0), last: ts(1, 0)}
	one := r.begin("one", muster.Filter{})
	one.list(at(1, 1), a)
	one.read(muster.Vulnerabilities, at(1, 0), vulnBatch(1, vuln{"a", "p", "CVE-1", ts(1, 0)}))
	two := r.begin("two", muster.Filter{})
	two.list(at(1, 1).Add(time.Second), a)
	two.read(muster.Vulnerabilities, at(1, 0), vulnBatch(1, vuln{"a", "p", "CVE-1", ts(1, 0)}))
	two.merge()
	one.merge()
	if got := r.export("machines", "one"); !strings.Contains(got, `"machine_id":"a"`) {
		t.Errorf("connector one gathered a and has no machine at all: %q", got)
	}
}

// Only one run of a tenant is merged at a time.
func TestTwoMergesOfATenant(t *testing.T) {
	r := newRig(t)
	a := mach{id: "a", first: ts(1, 0), last: ts(1, 0)}
	one := r.begin("one", muster.Filter{})
	one.list(at(1, 1), a)
	two := r.begin("two", muster.Filter{})
	two.list(at(1, 2), a)
	one.end()
	two.end()
	_, _, err := r.db.ClaimMerge(t.Context(), one.lease.Run, r.now, r.now.Add(15*time.Second))
	r.must(err)
	if _, _, err = r.db.ClaimMerge(t.Context(), two.lease.Run, r.now, r.now.Add(15*time.Second)); err == nil {
		t.Error("two merges of one tenant are held at once")
	}
}

// A rejected row whose machine cannot be told makes a read partial, also when the file
// that held it was finished under an earlier lease.
func TestNamelessRejectionSurvivesResume(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprint("killed ", killed), func(t *testing.T) {
			r := newRig(t)
			a := mach{id: "a", first: ts(1, 0), last: ts(1, 0)}
			g := r.begin("one", muster.Filter{})
			g.list(at(1, 1), a)
			g.read(muster.Vulnerabilities, at(1, 0), vulnBatch(1, vuln{"a", "p", "CVE-1", ts(1, 0)}, vuln{"a", "p", "CVE-2", ts(1, 0)}))
			g.merge()

			a.last = ts(2, 0)
			g = r.begin("one", muster.Filter{})
			g.list(at(2, 1), a)
			first := vulnBatch(1, vuln{"a", "p", "CVE-1", ts(2, 0)})
			first.Rejected = []wire.Rejected{{Machine: "", Reason: "no device id"}} // a's CVE-2
			first.Parts = []string{"file 1"}
			g.stage(muster.Vulnerabilities, at(2, 0), first)
			if killed {
				// file 1 was durable before the kill, as it is when its segment was full
				d, err := r.sink.desk(t.Context(), g.lease)
				r.must(err)
				r.must(r.sink.commit(t.Context(), d, d.stagers[muster.Vulnerabilities]))
				g.lose()
				second := vulnBatch(1)
				second.Parts = []string{"file 2"}
				g.stage(muster.Vulnerabilities, at(2, 0), second)
			}
			g.done(muster.Vulnerabilities, at(2, 0), muster.Complete)
			g.merge()
			for line := range strings.SplitSeq(r.export("findings"), "\n") {
				if strings.Contains(line, "CVE-2") && !strings.Contains(line, `"state":"open"`) {
					t.Errorf("closed on the strength of a row that could not be decoded: %s", line)
				}
			}
		})
	}
}

// A partial read leaves the times of the checks that it did not read.
func TestPartialConfigurationTimes(t *testing.T) {
	r := newRig(t)
	a := mach{id: "a", first: ts(1, 0), last: ts(1, 0)}
	g := r.begin("one", muster.Filter{})
	g.list(at(1, 1), a)
	g.read(muster.Configuration, at(1, 0), confBatch(1, vuln{machine: "a", product: "scid-1", seen: ts(1, 0)}, vuln{machine: "a", product: "scid-2", seen: ts(1, 0)}))
	g.merge()
	g = r.begin("one", muster.Filter{})
	g.list(at(2, 1), a)
	g.stage(muster.Configuration, at(2, 0), confBatch(1, vuln{machine: "a", product: "scid-1", seen: ts(2, 0)}))
	g.done(muster.Configuration, at(2, 0), muster.Partial)
	g.merge()
	for line := range strings.SplitSeq(r.export("configuration"), "\n") {
		if strings.Contains(line, "scid-2") && !strings.Contains(line, `"timestamp":"2026-05-01T00:00:00Z"`) {
			t.Errorf("scid-2 was not read and its time moved: %s", line)
		}
	}
	// and a part that holds an older time than the last confirmed one
	g = r.begin("one", muster.Filter{})
	g.list(at(3, 1), a)
	g.stage(muster.Configuration, at(3, 0), confBatch(1, vuln{machine: "a", product: "scid-2", seen: ts(1, 12)}))
	g.done(muster.Configuration, at(3, 0), muster.Partial)
	g.merge()
	for line := range strings.SplitSeq(r.export("configuration"), "\n") {
		if strings.Contains(line, "scid-2") && !strings.Contains(line, `"timestamp":"2026-05-01T12:00:00Z"`) {
			t.Errorf("scid-2 was read with day 1, 12:00: %s", line)
		}
	}
}

// A machine that was merged into another has lost nothing.
func TestMergedIsNoLoss(t *testing.T) {
	r := newRig(t)
	var ms []mach
	var vs []vuln
	for i := range 10 {
		id := fmt.Sprint("m", i)
		ms = append(ms, mach{id: id, first: ts(1, 0), last: ts(1, 0)})
		vs = append(vs, vuln{id, "p", "CVE-1", ts(1, 0)}, vuln{id, "p", "CVE-2", ts(1, 0)})
	}
	g := r.begin("one", muster.Filter{})
	g.list(at(1, 1), ms...)
	g.read(muster.Vulnerabilities, at(1, 0), vulnBatch(1, vs...))
	g.merge()
	ms[0].merged = "m1"
	g = r.begin("one", muster.Filter{})
	g.list(at(2, 1), ms...)
	g.read(muster.Vulnerabilities, at(2, 0), vulnBatch(1, vs...)) // the very same rows
	if w := g.merge(); len(w) > 0 {
		t.Errorf("no row is gone: %v", w)
	}
}

// A machine row without an id fails the run with a reason.
func TestNamelessMachine(t *testing.T) {
	r := newRig(t)
	g := r.begin("one", muster.Filter{})
	b := machineBatch(1, mach{id: "a", first: ts(1, 0), last: ts(1, 0)})
	b.Rejected = []wire.Rejected{{Reason: "no id"}}
	g.stage(muster.Machines, at(1, 1), b)
	g.done(muster.Machines, at(1, 1), muster.Complete)
	_, err := r.sink.Scope(t.Context(), g.lease)
	if err != nil && muster.AsError(err).Code == "internal" {
		t.Errorf("a row without an id ends the run as %q: %v", muster.AsError(err).Code, err)
	}
}

// Rows read twice do not hide a loss from the shrink guard.
func TestDoublesHideALoss(t *testing.T) {
	r := newRig(t)
	a := mach{id: "a", first: ts(1, 0), last: ts(1, 0)}
	g := r.begin("one", muster.Filter{})
	g.list(at(1, 1), a)
	var vs []vuln
	for i := range 10 {
		vs = append(vs, vuln{"a", "p", fmt.Sprint("CVE-", i), ts(1, 0)})
	}
	g.read(muster.Vulnerabilities, at(1, 0), vulnBatch(1, vs...))
	g.merge()
	g = r.begin("one", muster.Filter{})
	g.list(at(2, 1), a)
	// 4 of 10 are left; the file was read twice, because its link expired at the end
	g.read(muster.Vulnerabilities, at(2, 0), vulnBatch(1, vs[:4]...), vulnBatch(2, vs[:4]...))
	w := g.merge()
	if n := strings.Count(r.export("findings"), `"state":"fixed"`); n > 0 {
		t.Errorf("%d findings closed although 6 of 10 rows are gone at once (warnings %v)", n, w)
	}
}

// gone in --json
func TestGoneAmongDatasets(t *testing.T) {
	r := newRig(t)
	a, b := mach{id: "a", first: ts(1, 0), last: ts(1, 0)}, mach{id: "b", first: ts(1, 0), last: ts(1, 0)}
	g := r.begin("one", muster.Filter{})
	g.list(at(1, 1), a, b)
	g.merge()
	g = r.begin("one", muster.Filter{})
	g.list(at(2, 1), a)
	r.must(r.sink.Gone(t.Context(), g.lease, []string{"b"}))
	g.merge()
	rep, err := r.db.Report(t.Context(), g.lease.Run)
	r.must(err)
	for d := range rep.Datasets {
		if d == gone {
			t.Errorf("the report, and so --json, has a dataset %q", d)
		}
	}
}

// An older snapshot is guarded as well: it may be news of another connector's machines.
func TestOlderSnapshotWithoutGuard(t *testing.T) {
	r := newRig(t)
	a, b := mach{id: "a", tag: "A", first: ts(1, 0), last: ts(1, 0)}, mach{id: "b", tag: "B", first: ts(1, 0), last: ts(1, 0)}
	var vs []vuln
	for i := range 10 {
		vs = append(vs, vuln{"a", "p", fmt.Sprint("CVE-", i), ts(1, 0)}, vuln{"b", "p", fmt.Sprint("CVE-", i), ts(1, 0)})
	}
	for _, n := range []string{"A", "B"} {
		g := r.begin(n, muster.Filter{Tags: []string{n}})
		g.list(at(1, 1), a, b)
		g.read(muster.Vulnerabilities, at(1, 0), vulnBatch(1, vs...))
		g.merge()
	}
	old := r.begin("B", muster.Filter{Tags: []string{"B"}})
	old.list(at(2, 1), a, b)
	old.read(muster.Vulnerabilities, at(2, 0), vulnBatch(1, vs[:2]...)) // 2 of 20 rows
	g := r.begin("A", muster.Filter{Tags: []string{"A"}})
	g.list(at(3, 1), a, b)
	g.read(muster.Vulnerabilities, at(3, 0), vulnBatch(1, vs...))
	g.merge()
	w := old.merge()
	if n := strings.Count(r.export("findings"), `"state":"fixed"`); n > 0 {
		t.Errorf("%d findings closed by a read that has lost 90%% of its rows (warnings %v)", n, w)
	}
}

// The counters of a read add up, also where all of it is older than what is applied.
func TestCountersOfAnOlderSnapshot(t *testing.T) {
	r := newRig(t)
	a := mach{id: "a", first: ts(1, 0), last: ts(1, 0)}
	rows := []vuln{{"a", "p", "CVE-1", ts(1, 0)}, {"a", "p", "CVE-2", ts(1, 0)}}
	for _, day := range []int{3, 2} {
		g := r.begin("one", muster.Filter{})
		g.list(at(day, 1), a)
		g.read(muster.Vulnerabilities, at(day, 0), vulnBatch(1, rows...))
		g.merge()
		run, err := r.db.Report(t.Context(), g.lease.Run)
		r.must(err)
		if c := run.Datasets[muster.Vulnerabilities].Counts; c.Read != 2 || c.New+c.Unchanged != 2 {
			t.Errorf("snapshot of day %d: %+v", day, c)
		}
	}
}

func TestZeroMachines(t *testing.T) {
	r := newRig(t)
	for d := 1; d < 4; d++ {
		g := r.begin("one", muster.Filter{})
		g.list(at(d, 1))
		g.read(muster.Vulnerabilities, at(d, 0))
		g.read(muster.Configuration, at(d, 0))
		if w := g.merge(); len(w) > 0 {
			t.Error(w)
		}
	}
	r.everything()
}

// live list resumed: rows of the earlier lease stay.
func TestLiveListStartsOver(t *testing.T) {
	r := newRig(t)
	a := mach{id: "a", first: ts(1, 0), last: ts(1, 0)}
	g := r.begin("one", muster.Filter{})
	g.list(at(1, 1), a)
	g.stage(muster.Vulnerabilities, at(1, 1), vulnBatch(1, vuln{"a", "p", "CVE-1", ts(1, 0)}, vuln{"a", "p", "CVE-2", ts(1, 0)}))
	d, err := r.sink.desk(t.Context(), g.lease)
	r.must(err)
	r.must(r.sink.commit(t.Context(), d, d.stagers[muster.Vulnerabilities]))
	g.lose()
	// pages of a live list, read anew as gather.live does: with the run's source time
	g.stage(muster.Vulnerabilities, time.Time{}, vulnBatch(1, vuln{"a", "p", "CVE-1", ts(1, 0)}))
	g.done(muster.Vulnerabilities, at(1, 1), muster.Complete)
	g.merge()
	if strings.Contains(r.export("findings"), "CVE-2") {
		t.Error("a row that the live list no longer had when it was read whole is open")
	}
}
