package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
)

// mergeTries is how often a merge is begun in all when the database was lost.
const mergeTries = 5

// Merge claims the merge of a run whose reading has ended, and ends the run. What came
// of it is in the run's report; an error here means that it could not even be recorded.
func (c *Control) Merge(ctx context.Context, run int64) error {
	lease, head, err := c.claimMerge(ctx, run)
	if err != nil || lease.Run == 0 {
		return err
	}
	held, lost := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		c.hold(held, lost, lease)
	}()
	warnings, err := c.merge(held, lease)
	cause := context.Cause(held)
	lost(nil)
	<-stopped
	if errors.Is(cause, muster.ErrLeaseLost) || errors.Is(err, muster.ErrLeaseLost) {
		return muster.ErrLeaseLost
	}
	return c.endRun(context.WithoutCancel(ctx), lease, head, warnings, err, cause != nil)
}

// merge applies what is staged. Cut off from the database in the middle, it goes on by its
// cursor as after a kill.
func (c *Control) merge(ctx context.Context, l wire.Lease) (warnings []muster.Notice, err error) {
	for range mergeTries {
		warnings, err = c.merger.Merge(ctx, l)
		var e *muster.Error
		if !errors.As(err, &e) || e.Code != "database_unreachable" {
			break
		}
		c.log.Warn("merge was cut off from the database", "run", l.Run, "error", err)
		if wait(ctx, lookEvery) != nil {
			break
		}
	}
	return warnings, err
}

// claimMerge waits while another run of the tenant is merged: one merge at a time keeps
// machines that two connectors share in the order of the source's time. A run that is
// cancelled meanwhile ends here: the lease is that of no run.
func (c *Control) claimMerge(ctx context.Context, run int64) (wire.Lease, store.RunHead, error) {
	always := context.WithoutCancel(ctx) // somebody who cancels just now still finds a run that has ended
	for {
		now := c.now()
		lease, head, err := c.stores.ClaimMerge(always, run, now, now.Add(leaseTime))
		if !errors.Is(err, muster.ErrConflict) {
			return lease, head, err
		}
		head, look := c.stores.Run(always, run)
		if look != nil || head.State != muster.Merging {
			return lease, head, errors.Join(err, look)
		}
		if _, held, _, look := c.stores.ActiveRun(always, head.Connector.ID, now); held || look != nil {
			return lease, head, errors.Join(err, look)
		}
		if wait(ctx, lookEvery) != nil {
			why := muster.Notice{Code: "cancelled", Message: "the run was cancelled before its merge began", Advice: "Run it again when it suits."}
			return wire.Lease{}, head, c.stores.Drop(always, run, muster.Cancelled, why, c.now())
		}
	}
}

// hold renews the lease of a merge until ctx ends.
func (c *Control) hold(ctx context.Context, lost context.CancelCauseFunc, l wire.Lease) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := c.now()
		order, err := c.stores.RenewMerge(ctx, l, now, now.Add(leaseTime))
		switch {
		case errors.Is(err, muster.ErrLeaseLost):
			lost(err)
		case err != nil:
			c.log.Warn("lease was not renewed", "error", err)
		case order == wire.Cancel:
			lost(context.Canceled)
		}
	}
}

func (c *Control) endRun(ctx context.Context, l wire.Lease, head store.RunHead, warnings []muster.Notice, failure error, cancelled bool) error {
	report, err := c.stores.Report(ctx, l.Run)
	if err != nil {
		return err
	}
	warnings = append(report.Warnings, warnings...)
	switch {
	case failure != nil && cancelled:
		err = c.stores.EndRun(ctx, l, muster.Cancelled, warnings, nil, c.now())
	case failure != nil:
		c.log.Error("merge failed", "run", l.Run, "error", failure)
		notice := explain(failure).Notice()
		err = c.stores.EndRun(ctx, l, muster.Failed, warnings, &notice, c.now())
	default:
		state, notice := verdict(report, head.Connector.Settings.Datasets, warnings)
		if state != muster.Failed {
			err = c.stores.FixTenant(ctx, head.Connector.ID, report.TenantID)
		}
		if err == nil {
			err = c.stores.EndRun(ctx, l, state, warnings, notice, c.now())
		}
	}
	if err != nil {
		return err
	}
	return c.stores.DropStaged(ctx, l.Run)
}

func explain(err error) *muster.Error {
	if errors.Is(err, store.ErrDamaged) {
		return &muster.Error{Code: "internal", Message: "data staged in the database was found damaged and was not applied", Advice: "Check the disk, then run it again: everything is read anew.", Err: err}
	}
	return muster.AsError(err)
}

// verdict is how a run whose merge was done ends (SPEC §4): it has failed when no dataset
// planned beside the machines was whole.
func verdict(r muster.Run, planned []muster.Dataset, warnings []muster.Notice) (muster.RunState, *muster.Notice) {
	var whole, read int
	reason := ""
	for _, d := range planned {
		result := r.Datasets[d]
		if d == muster.Machines || result == nil || result.Mode == muster.ModeSkipped {
			continue
		}
		if read++; result.Complete {
			whole++
		} else if reason == "" {
			reason = fmt.Sprintf(": %s: %s", d, result.SkippedBecause)
		}
	}
	switch {
	case read > 0 && whole == 0:
		return muster.Failed, &muster.Notice{Code: "bad_answer", Message: "nothing but the machine list was read whole" + reason, Advice: "What arrived was added and nothing was closed. Run it again."}
	case len(warnings) > 0:
		return muster.SucceededWithWarnings, nil
	}
	return muster.Succeeded, nil
}
