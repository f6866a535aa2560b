package control

import (
	"context"
	"log/slog"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
)

// Stores is what control needs of the database.
type Stores interface {
	store.Connectors
	store.Runs
	store.Budgets
	store.Staging
}

// Merger applies what a run has staged; ingest is the one there is.
type Merger interface {
	// Merge returns the run's warnings. It can be repeated after a kill at any point.
	Merge(ctx context.Context, l wire.Lease) ([]muster.Notice, error)
}

// A lease lasts leaseTime and is renewed every renewEvery by whoever holds it.
const (
	leaseTime  = 15 * time.Second
	renewEvery = 5 * time.Second
)

// Control holds the rules over what the stores remember.
type Control struct {
	stores Stores
	merger Merger
	now    func() time.Time
	log    *slog.Logger
}

// New returns a Control.
func New(s Stores, m Merger, now func() time.Time, log *slog.Logger) *Control {
	return &Control{stores: s, merger: m, now: now, log: log}
}
