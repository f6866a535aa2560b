package storetest

import (
	"sync"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
)

var runTests = []test{
	{"queueing twice gives the queued one", func(c *testCase) {
		contoso := c.connector("Contoso")
		run := c.queued(contoso)
		again, err := c.QueueRun(c.Context(), contoso.ID, "run now", true, after(time.Hour))
		c.ok(err)
		c.equal("run", again, run)
		c.equal("head", c.head(run), store.RunHead{ID: run, Connector: contoso, State: muster.Queued, Full: true, SettingsVersion: 1})
		if other := c.queued(c.connector("Fabrikam")); other == run {
			c.Fatal("two connectors share a run")
		}
	}},
	{"what does not exist is not found", func(c *testCase) {
		_, err := c.QueueRun(c.Context(), 4711, "sync", false, start)
		c.fails(err, muster.ErrNotFound)
		_, err = c.Store.Run(c.Context(), 4711)
		c.fails(err, muster.ErrNotFound)
		_, err = c.Report(c.Context(), 4711)
		c.fails(err, muster.ErrNotFound)
		_, _, err = c.RunScope(c.Context(), 4711)
		c.fails(err, muster.ErrNotFound)
		_, _, err = c.ClaimReading(c.Context(), 4711, start, after(leaseTime))
		c.fails(err, muster.ErrConflict)
		_, _, active, err := c.ActiveRun(c.Context(), 4711, start)
		c.ok(err)
		c.equal("active", active, false)
	}},
	{"the first claim fixes the settings", settingsOfDispatch},
	{"one run of a connector at a time", oneAtATime},
	{"a claim is given once", func(c *testCase) {
		run := c.queued(c.connector("Contoso"))
		l := c.once(func() (wire.Lease, error) {
			l, _, err := c.ClaimReading(c.Context(), run, start, after(leaseTime))
			return l, err
		})
		c.ok(c.EndReading(c.Context(), l, wire.Outcome{}, start))
		c.once(func() (wire.Lease, error) {
			l, _, err := c.ClaimMerge(c.Context(), run, start, after(leaseTime))
			return l, err
		})
	}},
	{"held from claim to the lease's end", func(c *testCase) {
		contoso := c.connector("Contoso")
		held := func(at time.Duration, want bool) {
			c.Helper()
			_, held, active, err := c.ActiveRun(c.Context(), contoso.ID, after(at))
			c.ok(err)
			c.equal("active", active, true)
			c.equal("held", held, want)
		}
		l := c.claim(c.queued(contoso), start)
		held(leaseTime-time.Microsecond, true)
		held(leaseTime, false)
		_, err := c.Renew(c.Context(), l, after(leaseTime), after(2*leaseTime), wire.Progress{})
		c.ok(err)
		held(leaseTime, true)
		c.ok(c.EndReading(c.Context(), l, wire.Outcome{}, start))
		held(0, false)
	}},
	{"queueing at once gives one run", func(c *testCase) {
		contoso := c.connector("Contoso")
		runs := make([]int64, 8)
		c.together(len(runs), func(i int) (err error) {
			runs[i], err = c.QueueRun(c.Context(), contoso.ID, "sync", false, start)
			return err
		})
		c.equal("runs", len(distinct(runs)), 1)
	}},
	{"active from claim to end", func(c *testCase) {
		contoso := c.connector("Contoso")
		run := c.queued(contoso)
		c.active(contoso, "")
		l := c.claim(run, start)
		c.active(contoso, muster.Running)
		c.ok(c.EndReading(c.Context(), l, wire.Outcome{}, start))
		c.active(contoso, muster.Merging)
		m, _, err := c.ClaimMerge(c.Context(), run, start, after(leaseTime))
		c.ok(err)
		c.ok(c.EndRun(c.Context(), m, muster.Succeeded, nil, nil, after(time.Minute)))
		c.active(contoso, "")
	}},
	{"a run reads one tenant", func(c *testCase) {
		l := c.reading("Contoso")
		h := c.head(l.Run)
		tenant, err := c.TenantID(c.Context(), tenantGUID)
		c.ok(err)
		c.equal("tenant", h.Tenant, tenant)
		c.equal("guid", h.TenantGUID, tenantGUID)
		c.ok(c.BindTenant(c.Context(), l, tenantGUID))
		c.fails(c.BindTenant(c.Context(), l, "ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee"), muster.ErrConflict)
		c.equal("guid", c.head(l.Run).TenantGUID, tenantGUID)
	}},
	{"asking to cancel", func(c *testCase) {
		contoso := c.connector("Contoso")
		waiting := c.queued(contoso)
		c.ok(c.AskCancel(c.Context(), waiting, after(time.Minute)))
		c.equal("a queued one", c.head(waiting).State, muster.Cancelled)
		c.fails(c.AskCancel(c.Context(), waiting, after(time.Minute)), muster.ErrConflict)
		l := c.claim(c.queued(contoso), start)
		c.order(l, wire.GoOn)
		c.ok(c.AskCancel(c.Context(), l.Run, after(time.Minute)))
		c.equal("a running one", c.head(l.Run).State, muster.Running)
		c.order(l, wire.Cancel)
	}},
	{"how a reading ends", func(c *testCase) {
		failure := &muster.Notice{Code: "wrong_secret", Message: "No.", Advice: "Try again."}
		for _, end := range []struct {
			outcome wire.Outcome
			state   muster.RunState
		}{
			{wire.Outcome{}, muster.Merging},
			{wire.Outcome{Error: failure}, muster.Failed},
			{wire.Outcome{Cancelled: true}, muster.Cancelled},
			{wire.Outcome{Cancelled: true, Error: failure}, muster.Cancelled},
		} {
			l := c.reading("Contoso " + string(end.state))
			c.ok(c.EndReading(c.Context(), l, end.outcome, after(time.Minute)))
			c.equal("state", c.head(l.Run).State, end.state)
			c.fails(c.EndReading(c.Context(), l, end.outcome, after(time.Minute)), muster.ErrConflict)
			r, err := c.Report(c.Context(), l.Run)
			c.ok(err)
			c.equal("over", !r.FinishedAt.IsZero(), end.state.Final())
			if end.state == muster.Merging {
				_, _, err := c.ClaimMerge(c.Context(), l.Run, start, after(leaseTime))
				c.ok(err)
				c.ok(c.Drop(c.Context(), l.Run, muster.Failed, muster.Notice{}, after(time.Hour)))
			}
		}
	}},
	{"a run ends in a final state that follows", func(c *testCase) {
		l := c.reading("Contoso")
		c.fails(c.EndRun(c.Context(), l, muster.Succeeded, nil, nil, start), muster.ErrConflict)
		c.equal("state", c.head(l.Run).State, muster.Running)
		m := c.endReading(l)
		c.fails(c.EndRun(c.Context(), m, muster.Queued, nil, nil, start), muster.ErrInvalid)
		c.fails(c.EndRun(c.Context(), m, muster.Merging, nil, nil, start), muster.ErrInvalid)
		c.ok(c.EndRun(c.Context(), m, muster.SucceededWithWarnings, nil, nil, start))
		c.fails(c.EndRun(c.Context(), m, muster.Failed, nil, nil, start), muster.ErrConflict)
		c.equal("state", c.head(l.Run).State, muster.SucceededWithWarnings)
	}},
	{"the report holds everything", reportTest},
	{"traffic adds up over the leases", trafficTest},
}

// once calls claim from many sides at once; exactly one may get it.
func (c *testCase) once(claim func() (wire.Lease, error)) wire.Lease {
	c.Helper()
	const callers = 8
	leases, errs := make([]wire.Lease, callers), make([]error, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() { leases[i], errs[i] = claim() })
	}
	all.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err != nil:
			c.fails(err, muster.ErrConflict)
		case winner >= 0:
			c.Fatal("two callers hold the run")
		default:
			winner = i
		}
	}
	if winner < 0 {
		c.Fatal("nobody holds the run")
	}
	return leases[winner]
}

func (c *testCase) active(connector muster.Connector, want muster.RunState) {
	c.Helper()
	h, _, active, err := c.ActiveRun(c.Context(), connector.ID, start)
	c.ok(err)
	c.equal("active", active, want != "")
	c.equal("state", h.State, want)
}

func (c *testCase) order(l wire.Lease, want wire.Order) {
	c.Helper()
	order, err := c.Renew(c.Context(), l, start, after(leaseTime), wire.Progress{})
	c.ok(err)
	c.equal("order", order, want)
}

func settingsOfDispatch(c *testCase) {
	contoso := c.connector("Contoso")
	run := c.queued(contoso)
	save := func(tag string) {
		_, err := c.SaveConnector(c.Context(), "Contoso", settings(tag), start)
		c.ok(err)
	}
	save("second")
	l, h, err := c.ClaimReading(c.Context(), run, start, after(leaseTime))
	c.ok(err)
	c.equal("tags at the first claim", h.Connector.Settings.Filter.Tags, []string{"second"})
	c.equal("version", []int64{h.SettingsVersion, h.Connector.Version}, []int64{2, 2})
	c.equal("lease", l, wire.Lease{Run: run, Fence: h.Fence, Until: after(leaseTime)})
	save("third")
	_, err = c.Requeue(c.Context(), run, after(leaseTime))
	c.ok(err)
	_, h, err = c.ClaimReading(c.Context(), run, after(time.Hour), after(time.Hour+leaseTime))
	c.ok(err)
	c.equal("tags at the second claim", h.Connector.Settings.Filter.Tags, []string{"second"})
	c.equal("version", h.SettingsVersion, int64(2))
	c.equal("head", c.head(run), h)
}

func oneAtATime(c *testCase) {
	contoso := c.connector("Contoso")
	first := c.queued(contoso)
	c.claim(first, start)
	second := c.queued(contoso)
	if second == first {
		c.Fatal("a run under way was queued again")
	}
	_, _, err := c.ClaimReading(c.Context(), second, start, after(leaseTime))
	c.fails(err, muster.ErrConflict)

	// A run that lost its worker waits beside the queued one, and goes first.
	state, err := c.Requeue(c.Context(), first, after(leaseTime))
	c.ok(err)
	c.equal("state", state, muster.Queued)
	c.equal("next", c.queued(contoso), first)
	m := c.endReading(c.claim(first, after(leaseTime)))
	_, _, err = c.ClaimReading(c.Context(), second, start, after(leaseTime))
	c.fails(err, muster.ErrConflict)
	c.ok(c.EndRun(c.Context(), m, muster.Succeeded, nil, nil, start))
	c.claim(second, start)
}

func reportTest(c *testCase) {
	l := c.reading("Contoso")
	c.ok(c.BeginDataset(c.Context(), l, muster.Machines, after(-time.Hour)))
	counts := muster.Counts{Read: 9, New: 1, Changed: 2, Unchanged: 1, Closed: 3, Reopened: 1, OutOfScope: 2, Rejected: 1, Duplicates: 2}
	c.ok(c.Stage(c.Context(), l, store.Staged{Dataset: muster.Machines, Sequence: 1, Counts: counts}, start))
	c.ok(c.EndDataset(c.Context(), l, muster.Machines, wire.Completeness{Mode: muster.ModeFull, State: muster.Complete}))
	c.ok(c.EndDataset(c.Context(), l, muster.Software, wire.Completeness{Mode: muster.ModeSkipped, State: muster.Partial, Reason: "no role"}))
	c.ok(c.EndDataset(c.Context(), l, muster.Antivirus, wire.Completeness{Mode: muster.ModeFull, State: muster.Partial, Reason: "cut", SourceTime: start}))
	traffic := muster.Traffic{APICalls: 7, Bytes: 1 << 40, Throttled: 1500 * time.Millisecond}
	c.ok(c.EndReading(c.Context(), l, wire.Outcome{Traffic: traffic, Warnings: []muster.Notice{{Code: "early"}}}, after(time.Minute)))
	m, _, err := c.ClaimMerge(c.Context(), l.Run, start, after(leaseTime))
	c.ok(err)
	warnings := []muster.Notice{{Code: "partial_read", Message: "M", Advice: "A", Dataset: "antivirus"}}
	failure := muster.Notice{Code: "internal", Message: "M", Advice: "A"}
	c.ok(c.EndRun(c.Context(), m, muster.Failed, warnings, &failure, after(time.Hour)))
	got, err := c.Report(c.Context(), l.Run)
	c.ok(err)
	c.equal("report", got, muster.Run{
		ID: l.Run, Connector: "Contoso", Server: "Cloud", Trigger: "sync", State: muster.Failed, TenantID: tenantGUID,
		QueuedAt: start, StartedAt: start, FinishedAt: after(time.Hour), Warnings: warnings, Error: &failure, Traffic: traffic,
		Datasets: map[muster.Dataset]*muster.DatasetResult{
			muster.Machines:  {Mode: muster.ModeFull, Complete: true, SourceTime: after(-time.Hour), Counts: counts},
			muster.Software:  {Mode: muster.ModeSkipped, SkippedBecause: "no role"},
			muster.Antivirus: {Mode: muster.ModeFull, SourceTime: start, SkippedBecause: "cut"},
		},
	})
}

func trafficTest(c *testCase) {
	l := c.reading("Contoso")
	renew := func(l wire.Lease, calls int64) {
		_, err := c.Renew(c.Context(), l, start, l.Until, wire.Progress{Traffic: muster.Traffic{APICalls: calls, Bytes: 10 * calls, Throttled: time.Duration(calls) * time.Second}})
		c.ok(err)
	}
	total := func(want int64) {
		c.Helper()
		r, err := c.Report(c.Context(), l.Run)
		c.ok(err)
		c.equal("traffic", r.Traffic, muster.Traffic{APICalls: want, Bytes: 10 * want, Throttled: time.Duration(want) * time.Second})
	}
	renew(l, 3)
	renew(l, 5) // so far, not since the last time
	total(5)
	_, err := c.Requeue(c.Context(), l.Run, after(leaseTime))
	c.ok(err)
	l = c.claim(l.Run, after(leaseTime))
	renew(l, 2)
	total(7)
	c.ok(c.EndReading(c.Context(), l, wire.Outcome{Traffic: muster.Traffic{APICalls: 4, Bytes: 40, Throttled: 4 * time.Second}}, start))
	total(9)
	m, _, err := c.ClaimMerge(c.Context(), l.Run, after(time.Hour), after(time.Hour+leaseTime))
	c.ok(err)
	renew(m, 0) // a merge costs the source nothing
	total(9)
	order, err := c.RenewMerge(c.Context(), m, start, after(2*time.Hour))
	c.ok(err)
	c.equal("order", order, wire.GoOn)
	c.equal("until", c.head(l.Run).LeaseUntil, after(2*time.Hour))
	c.ok(c.AskCancel(c.Context(), l.Run, start))
	order, err = c.RenewMerge(c.Context(), m, start, after(2*time.Hour))
	c.ok(err)
	c.equal("order", order, wire.Cancel)
	total(9)
}
