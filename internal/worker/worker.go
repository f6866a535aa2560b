package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"muster"
	"muster/internal/defender"
	"muster/internal/gather"
	"muster/internal/wire"
)

// renewEvery is how often a lease is lengthened; it lasts three times as long.
const renewEvery = 5 * time.Second

// Worker does one job at a time.
type Worker struct {
	Board Board
	Sink  gather.Sink
	// Source gives the client for a job, with its secret; reserve is to be called before
	// every call of an export.
	Source func(job wire.Job, reserve func(ctx context.Context, endpoint string) error) (*defender.Client, error)
	// Progress is told what is read, on this side; nil = nobody looks.
	Progress func(d muster.Dataset, rows int64)
	Log      *slog.Logger
}

// Once claims one job, gathers and finishes it. ErrNoWork when there is none. A reading
// that failed or was cancelled is no error here: its outcome is with the Board.
func (w *Worker) Once(ctx context.Context) error {
	lease, job, err := w.Board.Claim(ctx)
	if err != nil {
		return err
	}
	held, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	client, err := w.Source(job, func(ctx context.Context, endpoint string) error { return w.reserve(ctx, lease, endpoint) })
	if err != nil {
		notice := muster.AsError(err).Notice()
		return w.Board.Finish(context.WithoutCancel(ctx), lease, wire.Outcome{Error: &notice})
	}
	defer client.Close()
	h := &hold{worker: w, lease: lease, client: client}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		h.renew(held, lost)
	}()
	run := gather.Run{Client: client, Sink: w.Sink, Lease: lease, Job: job, Progress: h.report, Log: w.Log.With("run", lease.Run)}
	outcome := run.Gather(held)
	cause := context.Cause(held)
	lost(nil)
	<-stopped
	if errors.Is(cause, muster.ErrLeaseLost) {
		return muster.ErrLeaseLost
	}
	return w.Board.Finish(context.WithoutCancel(ctx), lease, outcome)
}

// hold keeps one lease alive.
type hold struct {
	worker   *Worker
	lease    wire.Lease
	client   *defender.Client
	progress atomic.Pointer[wire.Progress]
}

func (h *hold) report(d muster.Dataset, rows int64) {
	h.progress.Store(&wire.Progress{Dataset: d, Rows: rows})
	if h.worker.Progress != nil {
		h.worker.Progress(d, rows)
	}
}

var errCancelled = errors.New("the run was asked to end")

// renew trusts the lease only until it runs out by our own monotonic clock: whoever
// cannot reach the Board must stop before others think it is gone.
func (h *hold) renew(ctx context.Context, lost context.CancelCauseFunc) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	expiry := time.AfterFunc(3*renewEvery, func() { lost(muster.ErrLeaseLost) })
	defer expiry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p := wire.Progress{}
		if last := h.progress.Load(); last != nil {
			p = *last
		}
		t := h.client.Traffic()
		p.Traffic = muster.Traffic{APICalls: t.Calls, Bytes: t.Bytes, Throttled: t.Throttled}
		order, err := h.worker.Board.Renew(ctx, h.lease, p)
		switch {
		case errors.Is(err, muster.ErrLeaseLost):
			lost(err)
		case err != nil:
			h.worker.Log.Warn("lease was not renewed", "error", err)
		case order == wire.Cancel:
			lost(errCancelled)
		default:
			expiry.Reset(3 * renewEvery)
		}
	}
}

// reserve waits until the Board has room for one more call of the endpoint.
func (w *Worker) reserve(ctx context.Context, l wire.Lease, endpoint string) error {
	for {
		wait, err := w.Board.Budget(ctx, l, endpoint)
		if err != nil || wait <= 0 {
			return err
		}
		w.Log.Info("waiting for the request budget", "endpoint", endpoint, "for", wait)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}
