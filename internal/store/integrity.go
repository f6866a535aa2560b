package store

import (
	"context"
	"time"

	"muster"
)

// Held is a machine with all that hangs on it.
type Held struct {
	ID         int64
	Tenant     int64
	TenantID   string
	MachineID  string
	Device     string // "" = none yet
	Attributes []byte
	LastSeen   time.Time
	Scopes     []ScopedBy // without names
	// Counted, Platform and Group are what the machine is counted by.
	Counted         bool
	Platform, Group string

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
	// AllFacts and AllEvidence call back for the dictionaries' documents; class is that of
	// facts which findings were counted by, else nil.
	AllFacts(ctx context.Context, each func(id int64, f Facts, class *Class)) error
	AllEvidence(ctx context.Context, each func(Evidence)) error
	// CountedTenants are those of which everything is counted: their tids by id.
	CountedTenants(ctx context.Context) (map[int64]string, error)
	// AllTallies calls back for the devices by CVE and software of a tenant, with what is
	// still to be added to them.
	AllTallies(ctx context.Context, tenant int64, each func(kind TallyKind, item, devices int64)) error
	// Pending is what has moved of a tenant since its last day with totals.
	Pending(ctx context.Context, tenant int64) (map[Bucket]Flow, error)
}
