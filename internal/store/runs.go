package store

import (
	"context"
	"time"

	"muster"
	"muster/internal/wire"
)

// Connectors remembers what is configured. A missing one is muster.ErrNotFound.
type Connectors interface {
	Connector(ctx context.Context, name string) (muster.Connector, error)
	// SaveConnector makes the connector or, where its settings differ, raises their version.
	SaveConnector(ctx context.Context, name string, s muster.Settings, now time.Time) (muster.Connector, error)
	// FixTenant binds the connector to the token's tenant, once and for ever. Another
	// tenant than the bound one is muster.ErrConflict.
	FixTenant(ctx context.Context, connector int64, tenant string) error
}

// RunHead is a run as the control path sees it.
type RunHead struct {
	ID              int64
	Connector       muster.Connector // settings as of the run's dispatch
	State           muster.RunState
	Full            bool
	Tenant          int64  // 0 before the first sign-in
	TenantGUID      string // the token's tid
	Fence           int64
	LeaseUntil      time.Time // by the clock that leases go by; only to be compared with another
	Lost            int
	CancelAsked     bool
	SettingsVersion int64
}

// Runs remembers what is gathered. Moves that the run's state does not allow are
// muster.ErrConflict; a lease that somebody else has taken over is muster.ErrLeaseLost.
//
// A lease lasts from now until until, both by the caller's clock. Where several machines
// share the database, its own clock decides when that time has passed; else it is the
// now of whoever asks.
type Runs interface {
	// QueueRun queues a run, or returns the one that is queued already, first one that lost
	// its worker. Asking for a full read makes a queued run full.
	QueueRun(ctx context.Context, connector int64, trigger string, full bool, now time.Time) (int64, error)
	// ActiveRun is the connector's dispatched, running or merging run, and whether somebody holds it.
	ActiveRun(ctx context.Context, connector int64, now time.Time) (h RunHead, held, active bool, err error)
	Run(ctx context.Context, id int64) (RunHead, error)
	// ClaimReading takes a queued run while no other of its connector is under way, ClaimMerge one
	// whose reading has ended or whose merge's lease has run out, which counts as Lost, while no
	// other run of its tenant is merged. Two callers never get the same one: the second is
	// muster.ErrConflict. The settings are those of the first ClaimReading.
	ClaimReading(ctx context.Context, run int64, now, until time.Time) (wire.Lease, RunHead, error)
	ClaimMerge(ctx context.Context, run int64, now, until time.Time) (wire.Lease, RunHead, error)
	// BindTenant says which tenant the run reads: the token's tid. Another one than an earlier lease
	// of the run had is muster.ErrConflict.
	BindTenant(ctx context.Context, l wire.Lease, tenant string) error
	// Renew moves the lease's end. The traffic is that of this lease so far; Report adds up all.
	Renew(ctx context.Context, l wire.Lease, now, until time.Time, p wire.Progress) (wire.Order, error)
	// RenewMerge moves the end of a merge's lease.
	RenewMerge(ctx context.Context, l wire.Lease, now, until time.Time) (wire.Order, error)
	// AskCancel ends a queued run; the holder of any other is told at its next renewal.
	AskCancel(ctx context.Context, run int64, now time.Time) error
	// EndReading records the outcome: to merging, or to failed or cancelled. The lease ends with it.
	EndReading(ctx context.Context, l wire.Lease, o wire.Outcome, now time.Time) error
	// EndRun records the end of the merge; the lease ends with it.
	EndRun(ctx context.Context, l wire.Lease, state muster.RunState, warnings []muster.Notice, failure *muster.Notice, now time.Time) error
	// Requeue gives up a reading whose lease has run out; the third time it is abandoned.
	Requeue(ctx context.Context, run int64, now time.Time) (muster.RunState, error)
	// Drop ends a run that nobody holds and that is not worth going on with, and what it staged.
	Drop(ctx context.Context, run int64, state muster.RunState, why muster.Notice, now time.Time) error
	// Report is the run with its datasets.
	Report(ctx context.Context, run int64) (muster.Run, error)
}

// Budgets reserves calls of tightly limited endpoints across runs and restarts.
type Budgets interface {
	// Reserve books n calls if the windows allow them now; else it books nothing and
	// says how long to wait. More calls than a window ever allows are muster.ErrInvalid.
	Reserve(ctx context.Context, key BudgetKey, n int, windows []Window, now time.Time) (wait time.Duration, err error)
}

// BudgetKey is what Microsoft counts by.
type BudgetKey struct{ Tenant, Client, Endpoint string }

// Window allows Calls within Span.
type Window struct {
	Span  time.Duration
	Calls int
}
