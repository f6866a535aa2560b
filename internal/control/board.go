package control

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
	"muster/internal/worker"
)

// Board is the worker's view of one run: worker.Board in process.
type Board struct {
	*Control
	run int64
}

var _ worker.Board = (*Board)(nil)

// Board offers one run to a worker.
func (c *Control) Board(run int64) *Board { return &Board{c, run} }

// Claim implements worker.Board.
func (b *Board) Claim(ctx context.Context) (wire.Lease, wire.Job, error) {
	now := b.now()
	lease, head, err := b.stores.ClaimReading(ctx, b.run, now, now.Add(leaseTime))
	if errors.Is(err, muster.ErrConflict) {
		return lease, wire.Job{}, worker.ErrNoWork
	}
	if err != nil {
		return lease, wire.Job{}, err
	}
	staged, err := b.stores.StagedDatasets(ctx, b.run)
	if err != nil {
		return lease, wire.Job{}, err
	}
	job := wire.Job{Kind: wire.Gather, Connector: head.Connector, Full: head.Full, Staged: map[muster.Dataset]wire.Stage{}}
	for d, st := range staged {
		job.Staged[d] = wire.Stage{Done: st.Completeness.State != "", Snapshot: st.Snapshot, Parts: st.Parts}
	}
	return lease, job, nil
}

// Renew implements worker.Board.
func (b *Board) Renew(ctx context.Context, l wire.Lease, p wire.Progress) (wire.Order, error) {
	now := b.now()
	return b.stores.Renew(ctx, l, now, now.Add(leaseTime), p)
}

// exportWindows are Microsoft's limits on the export endpoints (mde-api §4).
var exportWindows = []store.Window{{Span: time.Minute, Calls: 5}, {Span: time.Hour, Calls: 20}}

// Budget implements worker.Board.
func (b *Board) Budget(ctx context.Context, l wire.Lease, endpoint string) (time.Duration, error) {
	head, err := b.stores.Run(ctx, l.Run)
	if err != nil {
		return 0, err
	}
	s := head.Connector.Settings
	return b.stores.Reserve(ctx, store.BudgetKey{Tenant: strings.ToLower(cmp.Or(head.TenantGUID, s.TenantID)), Client: strings.ToLower(s.ClientID), Endpoint: endpoint}, 1, exportWindows, b.now())
}

// Finish implements worker.Board.
func (b *Board) Finish(ctx context.Context, l wire.Lease, o wire.Outcome) error {
	if err := b.stores.EndReading(ctx, l, o, b.now()); err != nil {
		return err
	}
	if o.Error == nil && !o.Cancelled {
		return nil
	}
	return b.stores.DropStaged(ctx, l.Run)
}
