package gather

import (
	"context"
	"time"

	"muster"
	"muster/internal/wire"
)

// Sink takes what a run reads. Every call is refused with muster.ErrLeaseLost once
// somebody else holds the run, and may be repeated; none lasts minutes.
type Sink interface {
	// SignedIn says which tenant the token is for. Another one than the connector's is
	// refused with code tenant_changed.
	SignedIn(ctx context.Context, l wire.Lease, tenant string) error
	// Begin starts a dataset. What an earlier lease staged of another snapshot is forgotten.
	Begin(ctx context.Context, l wire.Lease, d muster.Dataset, snapshot time.Time) error
	// Stage takes rows; the batch may be changed after it returns.
	Stage(ctx context.Context, l wire.Lease, b *wire.Batch) error
	// Scope is what was decided when the machines were whole.
	Scope(ctx context.Context, l wire.Lease) (wire.Scope, error)
	// Gone takes the ids of unseen machines that answered 404 twice.
	Gone(ctx context.Context, l wire.Lease, machines []string) error
	// Catalogue says which descriptions are wanted; asked once before they are read.
	Catalogue(ctx context.Context, l wire.Lease) (wire.CatalogueNeed, error)
	// Done ends a dataset's reading; it records and returns.
	Done(ctx context.Context, l wire.Lease, d muster.Dataset, c wire.Completeness) error
}
