package gather

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"muster"
	"muster/internal/defender"
	"muster/internal/wire"
)

// Run reads one tenant for one lease.
type Run struct {
	Client   *defender.Client
	Sink     Sink
	Lease    wire.Lease
	Job      wire.Job
	Progress func(d muster.Dataset, rows int64) // called often; rows read so far of d
	Log      *slog.Logger

	roles         []string
	sourceTime    time.Time // the source's clock at the run's start
	scope         wire.Scope
	exportRefused bool // the last export asked for is not offered to this tenant
	warnings      []muster.Notice

	mu       sync.Mutex // held while a batch is handed on, so that they come in order
	sequence map[muster.Dataset]int64
	read     map[muster.Dataset]int64
}

// Gather reads everything that is planned and says how the reading ended. Each dataset
// ends whole, partial with its reason, or skipped; an error of one does not end the others.
func (r *Run) Gather(ctx context.Context) wire.Outcome {
	r.sequence, r.read = map[muster.Dataset]int64{}, map[muster.Dataset]int64{}
	tenant, err := r.gather(ctx)
	out := wire.Outcome{TenantID: tenant, Warnings: r.warnings, Traffic: traffic(r.Client.Traffic())}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		out.Cancelled = true
	default:
		r.Log.Error("gathering failed", "error", err)
		notice := explain(err).Notice()
		out.Error = &notice
	}
	return out
}

func traffic(t defender.Traffic) muster.Traffic {
	return muster.Traffic{APICalls: t.Calls, Bytes: t.Bytes, Throttled: t.Throttled}
}

func (r *Run) gather(ctx context.Context) (tenant string, err error) {
	identity, err := r.Client.SignIn(ctx)
	if err != nil {
		return "", err
	}
	r.roles = identity.Roles
	if len(r.roles) == 0 {
		return identity.TenantID, noConsent()
	}
	if err := r.Sink.SignedIn(ctx, r.Lease, identity.TenantID); err != nil {
		return identity.TenantID, err
	}
	if err := r.machines(ctx); err != nil {
		return identity.TenantID, err
	}
	if r.scope, err = r.Sink.Scope(ctx, r.Lease); err != nil {
		return identity.TenantID, err
	}
	if err := r.probeUnseen(ctx); err != nil {
		return identity.TenantID, err
	}
	return identity.TenantID, r.datasets(ctx)
}

// datasets reads what is planned beside the machines.
func (r *Run) datasets(ctx context.Context) error {
	for _, d := range r.Job.Connector.Settings.Datasets {
		if d == muster.Machines || r.Job.Staged[d].Done {
			continue
		}
		if missing := r.missingRole(d); missing != "" {
			if err := r.Sink.Done(ctx, r.Lease, d, skipped(missing)); err != nil {
				return err
			}
			continue
		}
		end, err := r.dataset(ctx, d)
		if err != nil {
			return err
		}
		if err := r.Sink.Done(ctx, r.Lease, d, end); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) dataset(ctx context.Context, d muster.Dataset) (wire.Completeness, error) {
	switch d {
	case muster.Antivirus:
		return r.antivirus(ctx)
	case muster.Catalogue:
		return r.catalogue(ctx)
	case muster.Software:
		return r.software(ctx)
	case muster.Vulnerabilities:
		return r.vulnerabilities(ctx)
	case muster.Configuration:
		return exported(ctx, r, d, defender.ConfigurationExport, configurationLayout, r.Client.ConfigurationFile)
	case muster.Information:
		return exported(ctx, r, d, defender.InformationExport, informationLayout, r.informationFile)
	}
	return wire.Completeness{}, fmt.Errorf("dataset %s has no reader", d)
}

func skipped(why string) wire.Completeness {
	return wire.Completeness{Mode: muster.ModeSkipped, State: muster.Partial, Reason: why}
}

// rolesFor are the application permissions that open a dataset; any of them will do
// (mde-api §6).
var rolesFor = map[muster.Dataset][]string{
	muster.Machines:        {"Machine.Read.All", "Machine.ReadWrite.All"},
	muster.Antivirus:       {"Machine.Read.All", "Machine.ReadWrite.All"},
	muster.Information:     {"Vulnerability.Read.All"},
	muster.Software:        {"Software.Read.All"},
	muster.Vulnerabilities: {"Vulnerability.Read.All"},
	muster.Configuration:   {"Vulnerability.Read.All"},
	muster.Catalogue:       {"Vulnerability.Read.All"},
}

// missingRole says in one sentence which permission a dataset lacks; "" = none.
func (r *Run) missingRole(d muster.Dataset) string { return missingRole(r.roles, d) }

func missingRole(roles []string, d muster.Dataset) string {
	want := rolesFor[d]
	if slices.ContainsFunc(want, func(role string) bool { return slices.Contains(roles, role) }) {
		return ""
	}
	sentence := "the app has no permission " + want[0]
	if d == muster.Software {
		sentence += "; software comes from the vulnerability rows, which name only software with known vulnerabilities"
	}
	return sentence
}

// stream turns rows into batches. It ends at the first error of the source or the sink;
// part is recorded as finished with the last batch.
func stream[T any](ctx context.Context, r *Run, l *layout[T], rows func(func(defender.Row[T], error) bool), part string) error {
	b := l.take()
	defer l.give(b)
	for row, err := range rows {
		if err != nil {
			if ours := r.hand(ctx, b); ours != nil { // what arrived is kept
				return sinkError{errors.Join(ours, err)}
			}
			return err
		}
		if row.Rejected != nil {
			b.batch.Rejected = append(b.batch.Rejected, wire.Rejected{Machine: row.Rejected.Machine, Reason: row.Rejected.Reason})
		} else {
			add(b, l, row.Value, row.Unknown)
		}
		if b.full() {
			if err := r.hand(ctx, b); err != nil {
				return sinkError{err}
			}
			b.reset()
		}
	}
	if part != "" {
		b.batch.Parts = []string{part}
	}
	if err := r.hand(ctx, b); err != nil {
		return sinkError{err}
	}
	return nil
}

// sinkError is one of our own side: it ends the run, not the dataset.
type sinkError struct{ error }

func (e sinkError) Unwrap() error { return e.error }

// hand gives a batch the next number of its dataset and hands it on.
func (r *Run) hand(ctx context.Context, b *builder) error {
	if b.empty() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d := muster.Dataset(b.batch.Dataset)
	r.sequence[d]++
	b.batch.Sequence = r.sequence[d]
	r.read[d] += int64(b.batch.Len() + len(b.batch.Rejected))
	r.Progress(d, r.read[d])
	return r.Sink.Stage(ctx, r.Lease, &b.batch)
}

// ended decides what an error while reading a dataset means: nil and a completeness
// where the dataset alone is concerned, an error where the whole run is.
func (r *Run) ended(ctx context.Context, d muster.Dataset, snapshot time.Time, err error) (wire.Completeness, error) {
	end := wire.Completeness{Mode: muster.ModeFull, State: muster.Complete, SourceTime: snapshot}
	var ours sinkError
	var theirs *defender.Error
	switch {
	case err == nil:
		return end, nil
	case ctx.Err() != nil:
		return end, ctx.Err()
	case errors.As(err, &ours):
		return end, ours.error
	case errors.As(err, &theirs) && (theirs.Kind == defender.MissingRole || theirs.Kind == defender.NoLicence || theirs.Kind == defender.FeatureDisabled) && r.read[d] == 0:
		r.Log.Warn("dataset is not to be had", "dataset", d, "error", err)
		return skipped(explain(err).Message), nil
	}
	r.Log.Warn("dataset was not read whole", "dataset", d, "error", err)
	end.State, end.Reason = muster.Partial, explain(err).Message
	return end, nil
}
