package store

import (
	"context"
	"time"

	"muster"
	"muster/internal/wire"
)

// MachineRow is a machine as the last applied list has it.
type MachineRow struct {
	ID           int64
	MachineID    string
	Device       string // "" before it was reconciled
	Attributes   []byte // JSON by target attribute; nil before its first list was applied
	FirstSeen    time.Time
	LastSeen     time.Time
	Keys         MatchKeys
	MergedInto   string
	Superseded   bool
	ListedAt     time.Time
	UnseenSince  time.Time
	MissingSince time.Time
}

// ScopeRow is what one connector's filters say of a machine.
type ScopeRow struct {
	Machine int64
	Reason  muster.Reason
	Since   time.Time
}

// Change is one attribute that got another value, as JSON texts; nil = absent.
type Change struct {
	Machine   int64
	At        time.Time
	Attribute string
	Old, New  []byte
}

// Step is what every merge transaction moves along: the fence is checked, the cursor
// and the counts go with the data.
type Step struct {
	Lease   wire.Lease
	Dataset muster.Dataset
	Cursor  int64
	Counts  muster.Counts
}

// MachineStep applies some machines of a list.
type MachineStep struct {
	Step
	Connector int64
	Machines  []MachineRow
	Scopes    []ScopeRow // only those that changed
	// Entered are machines that came (back) into the scope: what was judged before does
	// not count for them any more.
	Entered []int64
	Changes []Change
}

// State is what is known of a machine in one dataset.
type State struct {
	Machine       int64
	Known         muster.Known
	LastConfirmed time.Time
	Digest        []byte // nil = compare
	OpenRows      int64
	Attributes    []byte // for datasets of one row a machine
}

// DocumentStep applies a dataset of one row a machine.
type DocumentStep struct {
	Step
	States  []State
	Changes []Change
}

// ItemKind is a table of rows that hang on machines.
type ItemKind string

const (
	Findings          ItemKind = "finding"
	InstalledSoftware ItemKind = "installed_software"
	ReportedSoftware  ItemKind = "reported_software"
	Configurations    ItemKind = "configuration_result"
)

// Null is the Number of a row that has none.
const Null = wire.Null

// Item is one row of a machine. Number is first_seen in microseconds, for
// configuration results the lag; Null = none.
type Item struct {
	Machine, ID int64
	Facts       int64
	Evidence    [16]byte // zero = none
	Number      int64
	ClosedAt    time.Time // zero = open
	Confirmed   time.Time // of a closed row
	Reopened    int64
}

// Open tells whether the row stands.
func (i *Item) Open() bool { return i.ClosedAt.IsZero() }

// Event is what a row no longer shows.
type Event struct {
	Kind        ItemKind
	Machine, ID int64
	At          time.Time
	Event       string // "closed", "reopened", "changed"
	Facts       int64  // before a change
}

// ItemStep applies differences of rows.
type ItemStep struct {
	Step
	States []State
	Items  map[ItemKind][]Item // inserted or replaced
	Events []Event
	// Differences are what counting goes by: of every machine whose open rows, or their
	// facts, are others now.
	Differences []Difference
}

// DatasetState is the last applied complete read of a tenant's dataset.
type DatasetState struct {
	Snapshot       time.Time
	RowsRead       int64
	MappingVersion string
	Guard          muster.Guard
	Present        []byte // the machines that had rows, before any filter; nil = none
}

// CatalogueRow is one CVE's description.
type CatalogueRow struct {
	CVE        int64
	Attributes []byte // nil = asked for, not there
}

// Merge is where staged data becomes state. One method is one transaction; each step
// is refused with muster.ErrLeaseLost when the lease is.
type Merge interface {
	Counts
	Devices
	// Machines reads rows by id.
	Machines(ctx context.Context, ids []int64) (map[int64]MachineRow, error)
	// TenantMachines calls back for every machine of a tenant, in id order, without attributes.
	TenantMachines(ctx context.Context, tenant int64, each func(MachineRow) error) error
	ConnectorScopes(ctx context.Context, connector int64, each func(ScopeRow)) error
	// MergeMachines writes machines as a list has them. Device and Superseded stay as they
	// were where a row gives no Device: to find it is Regroup's part.
	MergeMachines(ctx context.Context, s MachineStep) error
	// MergeMissing marks machines that a complete list lacked.
	MergeMissing(ctx context.Context, s MachineStep) error

	States(ctx context.Context, d muster.Dataset, machines []int64) (map[int64]State, error)
	MergeDocuments(ctx context.Context, s DocumentStep) error
	Items(ctx context.Context, kind ItemKind, machines []int64, each func(Item)) error
	MergeItems(ctx context.Context, s ItemStep) error

	MergeCatalogue(ctx context.Context, s Step, rows []CatalogueRow, at time.Time) error
	// CatalogueRows reads descriptions by CVE; those never described are left out.
	CatalogueRows(ctx context.Context, cves []int64) (map[int64][]byte, error)
	// CatalogueGaps lists the CVEs never described, at most limit, and counts them all.
	CatalogueGaps(ctx context.Context, limit int) (cves []string, total int, err error)

	DatasetState(ctx context.Context, tenant int64, d muster.Dataset) (DatasetState, error)
	// EndMerge ends a dataset's merge; state is saved unless nil. One of vulnerabilities that
	// no guard holds back makes the totals of the snapshot's day.
	EndMerge(ctx context.Context, s Step, tenant int64, state *DatasetState) error
	// ScopedElsewhere lists the machines that another connector has in scope.
	ScopedElsewhere(ctx context.Context, connector int64, each func(machine int64)) error
	// EverRead tells whether an ended run of the connector has read a dataset whole.
	EverRead(ctx context.Context, connector int64, d muster.Dataset) (bool, error)
	// AnyOpen tells whether a table holds an open row of the tenant's machines.
	AnyOpen(ctx context.Context, kind ItemKind, tenant int64) (bool, error)
}
