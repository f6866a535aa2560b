package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"muster"
	"muster/internal/store"
)

// stagedFor is how long staged data is worth going on with (SPEC §4).
const stagedFor = 24 * time.Hour

// lookEvery is how often a waiting sync looks whether the holder is alive.
const lookEvery = time.Second

// Start saves the connector's settings and gives the run that gathers by them: a lost one
// that can go on, else a new one. A connector that somebody else is gathering is refused
// with code connector_busy; a holder that stays silent is waited for until its lease ends.
func (c *Control) Start(ctx context.Context, name, trigger string, settings muster.Settings, full bool) (int64, error) {
	if err := c.sweep(ctx); err != nil {
		return 0, err
	}
	if err := c.sameTenant(ctx, name, settings); err != nil {
		return 0, err
	}
	known, err := c.stores.Connector(ctx, name)
	if err == nil {
		err = c.takeOver(ctx, known, settings)
	}
	if err != nil && !errors.Is(err, muster.ErrNotFound) {
		return 0, err
	}
	connector, err := c.stores.SaveConnector(ctx, name, settings, c.now())
	if err != nil {
		return 0, err
	}
	return c.queue(context.WithoutCancel(ctx), connector, trigger, full) // a queued run is always known to its caller
}

// sameTenant refuses settings that name another tenant than the connector is bound to.
func (c *Control) sameTenant(ctx context.Context, name string, s muster.Settings) error {
	known, err := c.stores.Connector(ctx, name)
	if errors.Is(err, muster.ErrNotFound) {
		return nil
	}
	if err != nil || known.Tenant == "" || !muster.IsGUID(s.TenantID) || strings.EqualFold(known.Tenant, s.TenantID) {
		return err
	}
	return &muster.Error{
		Meaning: muster.ErrConflict, Code: "tenant_changed", Message: fmt.Sprintf("connector %q belongs to tenant %s", known.Name, known.Tenant),
		Advice: "Gather another tenant with a connector of its own: --connector NAME.",
	}
}

// takeOver ends what an earlier process left of the connector's run.
func (c *Control) takeOver(ctx context.Context, connector muster.Connector, settings muster.Settings) error {
	var seen *store.RunHead
	for {
		head, held, active, err := c.stores.ActiveRun(ctx, connector.ID, c.now())
		if err != nil || !active {
			return err
		}
		if seen != nil && seen.ID == head.ID && (head.Fence != seen.Fence || !head.LeaseUntil.Equal(seen.LeaseUntil)) {
			return busy(connector.Name)
		}
		first := seen == nil
		if seen = &head; first && head.State == muster.Merging || held {
			// A merge that nobody holds yet may be about to be claimed by its own process.
			if err := wait(ctx, lookEvery); err != nil {
				return err
			}
			continue
		}
		if err := c.recover(ctx, head, settings); err != nil && !errors.Is(err, muster.ErrConflict) {
			return err // a conflict is somebody else who was faster: look again
		}
		seen = nil
	}
}

func (c *Control) recover(ctx context.Context, head store.RunHead, settings muster.Settings) error {
	c.log.Info("going on with a run that was lost", "run", head.ID, "state", head.State)
	if head.State == muster.Merging {
		return c.recoverMerge(ctx, head, settings)
	}
	state, err := c.stores.Requeue(ctx, head.ID, c.now())
	if err == nil && state.Final() {
		err = c.stores.DropStaged(ctx, head.ID)
	}
	return err
}

// recoverMerge ends a lost merge, or drops it where its data is no longer worth it.
func (c *Control) recoverMerge(ctx context.Context, head store.RunHead, settings muster.Settings) error {
	report, err := c.stores.Report(ctx, head.ID)
	if err != nil {
		return err
	}
	drop := func(state muster.RunState, code, message string) error {
		why := muster.Notice{Code: code, Message: message, Advice: "Nothing is to be done: the data is read again."}
		return c.stores.Drop(ctx, head.ID, state, why, c.now())
	}
	switch {
	case head.Lost >= muster.AbandonAfter:
		return drop(muster.Abandoned, "internal", "the process that merged this run vanished every time")
	case !head.Connector.Settings.Filter.Equal(settings.Filter):
		return drop(muster.Cancelled, "superseded", "a gathering with other filters took its place before it was merged")
	case c.now().Sub(report.StartedAt) > stagedFor:
		return drop(muster.Failed, "superseded", "what it had read is older than a day")
	}
	return c.Merge(ctx, head.ID)
}

func busy(name string) error {
	return &muster.Error{
		Meaning: muster.ErrConflict, Code: "connector_busy", Message: fmt.Sprintf("connector %q is being gathered by another process", name),
		Advice: "Wait until it has ended, or gather under another name with --connector.",
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// queue gives the queued run of these settings; one of other settings, or too old to go
// on with, is dropped.
func (c *Control) queue(ctx context.Context, connector muster.Connector, trigger string, full bool) (int64, error) {
	id, err := c.stores.QueueRun(ctx, connector.ID, trigger, full, c.now())
	if err != nil {
		return 0, err
	}
	head, err := c.stores.Run(ctx, id)
	if err != nil {
		return 0, err
	}
	report, err := c.stores.Report(ctx, id)
	if err != nil {
		return 0, err
	}
	stale := !report.StartedAt.IsZero() && c.now().Sub(report.StartedAt) > stagedFor
	if head.SettingsVersion == connector.Version && head.Full == full && !stale {
		return id, nil
	}
	why := muster.Notice{Code: "superseded", Message: "a gathering with other settings took its place", Advice: "Nothing is to be done."}
	if err := c.stores.Drop(ctx, id, muster.Cancelled, why, c.now()); err != nil {
		return 0, err
	}
	return c.stores.QueueRun(ctx, connector.ID, trigger, full, c.now())
}

// sweep drops what runs that are over have left staged.
func (c *Control) sweep(ctx context.Context) error {
	left, err := c.stores.Leftovers(ctx)
	for _, run := range left {
		if err := c.stores.DropStaged(ctx, run); err != nil {
			return err
		}
	}
	return err
}
