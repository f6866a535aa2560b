package gather

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"muster"
	"muster/internal/defender"
	"muster/internal/wire"
)

// live reads a list that has no snapshot of its own: the run's source time stands for it.
func live[T any](ctx context.Context, r *Run, l *layout[T], rows iter.Seq2[defender.Row[T], error]) (wire.Completeness, error) {
	if err := r.Sink.Begin(ctx, r.Lease, l.dataset, r.sourceTime); err != nil {
		return wire.Completeness{}, err
	}
	return r.ended(ctx, l.dataset, r.sourceTime, stream(ctx, r, l, rows, ""))
}

func (r *Run) antivirus(ctx context.Context) (wire.Completeness, error) {
	return live(ctx, r, antivirusLayout, r.Client.AntivirusHealth(ctx))
}

// catalogue reads descriptions: all pages the first time, then what was updated since
// and the CVEs newly met.
func (r *Run) catalogue(ctx context.Context) (wire.Completeness, error) {
	need, err := r.Sink.Catalogue(ctx, r.Lease)
	if err != nil {
		return wire.Completeness{}, err
	}
	end, err := live(ctx, r, catalogueLayout, func(yield func(defender.Row[defender.Vulnerability], error) bool) {
		brought := map[string]bool{}
		for row, err := range r.Client.Catalogue(ctx, need.Since) {
			if row.Value != nil && !need.Whole {
				brought[row.Value.ID.Value] = true
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
		rest := slices.DeleteFunc(slices.Clone(need.CVEs), func(cve string) bool { return brought[cve] })
		for row, err := range r.Client.CatalogueEntries(ctx, rest) {
			if !yield(row, err) {
				return
			}
		}
	})
	if !need.Whole && end.Mode == muster.ModeFull {
		end.Mode = muster.ModeChanges
	}
	return end, err
}

// source is one export and how its files become rows.
type source struct {
	kind  defender.ExportKind
	files func(ctx context.Context, r *Run, f defender.File) error
}

func sourceOf[T any](kind defender.ExportKind, l *layout[T], open func(context.Context, defender.File) iter.Seq2[defender.Row[T], error]) source {
	return source{kind, func(ctx context.Context, r *Run, f defender.File) error {
		return stream(ctx, r, l, open(ctx, f), f.Name)
	}}
}

func exported[T any](ctx context.Context, r *Run, d muster.Dataset, kind defender.ExportKind, l *layout[T], open func(context.Context, defender.File) iter.Seq2[defender.Row[T], error]) (wire.Completeness, error) {
	return r.exports(ctx, d, sourceOf(kind, l, open))
}

// software is in two exports: with a product code and without. Both together are the list.
func (r *Run) software(ctx context.Context) (wire.Completeness, error) {
	return r.exports(ctx, muster.Software,
		sourceOf(defender.SoftwareExport, softwareLayout, r.Client.SoftwareFile),
		sourceOf(defender.NonCPESoftwareExport, otherSoftwareLayout, r.Client.NonCPESoftwareFile))
}

// vulnerabilities come as files, and page by page where the export is not to be had.
func (r *Run) vulnerabilities(ctx context.Context) (wire.Completeness, error) {
	end, err := exported(ctx, r, muster.Vulnerabilities, defender.VulnerabilityExport, vulnerabilityLayout, func(ctx context.Context, f defender.File) iter.Seq2[defender.Row[vulnerability], error] {
		return r.Client.VulnerabilityFile(ctx, f.Only(vulnerabilityLayout.members()...))
	})
	if err != nil || end.State == muster.Complete || r.read[muster.Vulnerabilities] > 0 || !r.exportRefused {
		return end, err
	}
	r.Log.Info("the export is not to be had, reading pages", "dataset", muster.Vulnerabilities, "reason", end.Reason)
	return live(ctx, r, vulnerabilityLayout, r.Client.VulnerabilitiesByMachine(ctx))
}

// exports reads the files of one dataset. Its snapshot is the oldest of its exports'.
func (r *Run) exports(ctx context.Context, d muster.Dataset, sources ...source) (wire.Completeness, error) {
	var lists []*listing
	var snapshot, newest time.Time
	r.exportRefused = false
	for _, s := range sources {
		export, err := r.Client.Export(ctx, s.kind)
		if err != nil {
			r.exportRefused = refused(err)
			return r.ended(ctx, d, time.Time{}, err)
		}
		if at := export.GeneratedTime; snapshot.IsZero() || at.Before(snapshot) {
			snapshot = at
		}
		if export.GeneratedTime.After(newest) {
			newest = export.GeneratedTime
		}
		lists = append(lists, &listing{source: s, export: export})
	}
	if applied, known := r.scope.Applied[d]; known && !r.Job.Full && applied.Equal(snapshot) && newest.Equal(snapshot) {
		return wire.Completeness{Mode: muster.ModeUnchanged, State: muster.Complete, SourceTime: snapshot}, nil
	}
	if err := r.Sink.Begin(ctx, r.Lease, d, snapshot); err != nil {
		return wire.Completeness{}, err
	}
	finished := r.Job.Staged[d].Parts
	if !r.Job.Staged[d].Snapshot.Equal(snapshot) {
		finished = nil
	}
	failures, err := r.files(ctx, unfinished(lists, finished))
	if err != nil {
		return r.ended(ctx, d, snapshot, err)
	}
	return r.ended(ctx, d, snapshot, partial(failures))
}

// partial sums up the files that did not arrive.
func partial(failures []error) error {
	switch len(failures) {
	case 0:
		return nil
	case 1:
		return failures[0]
	}
	return fmt.Errorf("%d files did not arrive, the first: %w", len(failures), failures[0])
}

// refused tells whether an export is not offered to this tenant, as opposed to failing.
func refused(err error) bool {
	var e *defender.Error
	return errors.As(err, &e) && (e.Kind == defender.FeatureDisabled || e.Kind == defender.NotFound || e.Kind == defender.BadRequest)
}
