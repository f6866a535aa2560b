package store

import (
	"context"

	"muster"
)

// Held is a machine with all that hangs on it.
type Held struct {
	ID     int64
	States map[muster.Dataset]State
	Rows   map[ItemKind][]Item // by item
}

// StagedSegment is a segment and whose it is.
type StagedSegment struct {
	Segment
	Run     int64
	Dataset muster.Dataset
}

// TenantState is what is known of a tenant's dataset.
type TenantState struct {
	Tenant  int64
	Dataset muster.Dataset
	DatasetState
}

// Integrity lets everything that is stored be looked at, in pieces.
type Integrity interface {
	// Flaws calls back for every row that contradicts another one, with the kind of flaw and
	// the row's own columns as text. It asks of tables only what a query can tell.
	Flaws(ctx context.Context, each func(kind, row string)) error
	// HeldAbove calls back for at most limit machines with greater ids, in id order, all as
	// of one moment.
	HeldAbove(ctx context.Context, above int64, limit int, each func(Held)) error
	// TenantStates calls back for the state of every dataset.
	TenantStates(ctx context.Context, each func(TenantState)) error
	StagedSegments(ctx context.Context) ([]StagedSegment, error)
	// DecidedScopes calls back for the scope of every run that has one.
	DecidedScopes(ctx context.Context, each func(run int64, scope []byte)) error
	// AllFacts and AllEvidence call back for the dictionaries' documents.
	AllFacts(ctx context.Context, each func(id int64, f Facts)) error
	AllEvidence(ctx context.Context, each func(Evidence)) error
}
