package gather

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"muster"
	"muster/internal/defender"
	"muster/internal/wire"
)

// machines reads the whole list, without a filter: scope is decided on our side alone
// (SPEC §1). Unless it arrives whole the run fails.
func (r *Run) machines(ctx context.Context) error {
	if missing := r.missingRole(muster.Machines); missing != "" {
		return &muster.Error{
			Meaning: muster.ErrForbidden, Code: "missing_role", Message: missing, Dataset: string(muster.Machines),
			Advice: "Add the application permission Machine.Read.All of WindowsDefenderATP to the app and grant admin consent.",
		}
	}
	if staged := r.Job.Staged[muster.Machines]; staged.Done {
		r.sourceTime = staged.Snapshot
		return nil
	}
	tags := map[string]bool{}
	rows := func(yield func(defender.Row[defender.Machine], error) bool) {
		for row, err := range r.Client.Machines(ctx) {
			if r.sourceTime.IsZero() && err == nil {
				if err = r.start(ctx); err != nil {
					yield(row, sinkError{err})
					return
				}
			}
			if row.Value != nil {
				for _, tag := range row.Value.MachineTags {
					tags[strings.Clone(tag)] = true
				}
			}
			if !yield(row, err) {
				return
			}
		}
	}
	err := stream(ctx, r, machineLayout, rows, "")
	if err == nil && r.sourceTime.IsZero() { // an empty list
		err = r.start(ctx)
	}
	if err != nil {
		if ours := (sinkError{}); errors.As(err, &ours) {
			return ours.error
		}
		return err
	}
	r.warnUnknownTags(tags)
	end := wire.Completeness{Mode: muster.ModeFull, State: muster.Complete, SourceTime: r.sourceTime, Warnings: r.warnings}
	r.warnings = nil // they are kept from here on, whoever ends the reading
	return r.Sink.Done(ctx, r.Lease, muster.Machines, end)
}

// start takes the source's clock as the run's time and refuses one that is far from ours
// before anything is staged (SPEC §2).
func (r *Run) start(ctx context.Context) error {
	skew := r.Client.Skew()
	switch {
	case skew.Abs() > muster.SkewFailure:
		return &muster.Error{
			Meaning: muster.ErrUnavailable, Code: "clock", Message: fmt.Sprintf("this machine's clock differs from Microsoft's by %s", skew.Abs().Round(time.Second)),
			Advice: "Set this machine's clock, best by NTP, and run it again. Nothing was changed.",
		}
	case skew.Abs() > muster.SkewWarning:
		r.warnings = append(r.warnings, muster.Notice{
			Code: "clock_skew", Message: fmt.Sprintf("this machine's clock differs from Microsoft's by %s", skew.Abs().Round(time.Second)),
			Advice: "Set this machine's clock, best by NTP. The source's time was used.",
		})
	}
	r.sourceTime = r.Client.SourceTime().UTC().Truncate(time.Microsecond)
	return r.Sink.Begin(ctx, r.Lease, muster.Machines, r.sourceTime)
}

// warnUnknownTags names the filter's tags that no machine of the tenant has.
func (r *Run) warnUnknownTags(have map[string]bool) {
	var unknown []string
	for _, tag := range r.Job.Connector.Settings.Filter.Tags {
		known := false
		for t := range have {
			known = known || strings.EqualFold(strings.TrimSpace(t), tag)
		}
		if !known {
			unknown = append(unknown, fmt.Sprintf("%q", tag))
		}
	}
	if len(unknown) > 0 {
		r.warnings = append(r.warnings, muster.Notice{
			Code: "unknown_tag", Message: "no machine of the tenant has the tag " + strings.Join(unknown, " or "),
			Advice: "Check the spelling. These are Defender's device tags, not Entra attributes.", Dataset: string(muster.Machines),
		})
	}
}

// probeUnseen asks singly for known machines that the list lacked; only a 404 given
// twice counts (SPEC §2.5), because existing machines were seen to answer it once.
func (r *Run) probeUnseen(ctx context.Context) error {
	var gone []string
	for _, id := range r.scope.Unseen {
		missing := true
		for range 2 {
			err := r.Client.Machine(ctx, id)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if missing = errors.Is(err, defender.ErrNotFound); !missing {
				break
			}
		}
		if missing {
			gone = append(gone, id)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return r.Sink.Gone(ctx, r.Lease, gone)
}
