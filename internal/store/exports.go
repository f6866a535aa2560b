package store

import (
	"context"
	"time"

	"muster"
)

// ScopedBy is what one connector says of a machine.
type ScopedBy struct {
	Connector int64
	Name      string
	Reason    muster.Reason
	Since     time.Time
}

// ListedMachine is a machine that an applied list has held, without its attributes.
type ListedMachine struct {
	ID        int64
	Tenant    string // the token's tid
	MachineID string
	Device    string
	FirstSeen time.Time
	LastSeen  time.Time
	Scopes    []ScopedBy // by connector id
}

// Exposure is a CVE in a software version; CVE "" is the software itself.
type Exposure struct {
	SoftwareKey
	CVE string
}

// OpenFinding is a finding as counting looks at it.
type OpenFinding struct{ Machine, Exposure, Facts int64 }

// Exports reads state in large pieces. Each call is one transaction; what it calls back
// with is in no promised order unless said.
type Exports interface {
	// Tenants lists the tenants that were ever read, sorted bytewise.
	Tenants(ctx context.Context) ([]string, error)
	// ListedMachines calls back for every machine that an applied list has held, in id order.
	ListedMachines(ctx context.Context, each func(ListedMachine)) error
	// RowsOf calls back for all rows of some machines, by machine and item, and gives when
	// the machines were last confirmed in the dataset.
	RowsOf(ctx context.Context, kind ItemKind, d muster.Dataset, machines []int64, each func(Item)) (confirmed map[int64]time.Time, err error)
	// OpenFindings calls back for the open findings of some machines, by machine.
	OpenFindings(ctx context.Context, machines []int64, each func(OpenFinding)) error
	// ExposuresOf, SoftwareOf and ConfigurationsOf read texts back by id.
	ExposuresOf(ctx context.Context, ids []int64) (map[int64]Exposure, error)
	SoftwareOf(ctx context.Context, ids []int64) (map[int64]SoftwareKey, error)
	ConfigurationsOf(ctx context.Context, ids []int64) (map[int64]string, error)
	// ChangesOf calls back for the attribute changes of some machines.
	ChangesOf(ctx context.Context, machines []int64, each func(Change)) error
	// TotalsOf calls back for the totals of a tenant, named by its tid, by day and bucket, and
	// lists the days with a complete read.
	TotalsOf(ctx context.Context, tenant string, each func(Total)) ([]TotalDay, error)
	// RunsAbove gives at most limit runs with greater ids, in id order.
	RunsAbove(ctx context.Context, id int64, limit int) ([]muster.Run, error)
}
