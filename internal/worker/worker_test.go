package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"muster"
	"muster/internal/defender"
	"muster/internal/gather"
	"muster/internal/wire"
	"muster/internal/worker"
)

// board offers one job and budgets as a test directs.
type board struct {
	waits    []time.Duration // answers of Budget, then none
	outcomes []wire.Outcome
	claimed  bool
}

func (b *board) Claim(context.Context) (wire.Lease, wire.Job, error) {
	if b.claimed {
		return wire.Lease{}, wire.Job{}, worker.ErrNoWork
	}
	b.claimed = true
	return wire.Lease{Run: 7, Fence: 1}, wire.Job{Kind: wire.Gather}, nil
}

func (b *board) Renew(context.Context, wire.Lease, wire.Progress) (wire.Order, error) {
	return wire.GoOn, nil
}

func (b *board) Budget(context.Context, wire.Lease, string) (time.Duration, error) {
	if len(b.waits) == 0 {
		return 0, nil
	}
	wait := b.waits[0]
	b.waits = b.waits[1:]
	return wait, nil
}

func (b *board) Finish(_ context.Context, _ wire.Lease, o wire.Outcome) error {
	b.outcomes = append(b.outcomes, o)
	return nil
}

// errRead ends a job before its source is opened: these tests are not about reading.
var errRead = errors.New("nothing to read")

// work runs one job whose source is never opened.
func work(t *testing.T, b *board, read func(ctx context.Context, reserve func(context.Context, string) error) error) error {
	t.Helper()
	w := worker.Worker{
		Board: b, Sink: gather.Sink(nil), Log: slog.New(slog.DiscardHandler),
		Source: func(_ wire.Job, reserve func(context.Context, string) error) (*defender.Client, error) {
			return nil, read(t.Context(), reserve)
		},
	}
	return w.Once(t.Context())
}

func TestSourceThatCannotBeOpenedFailsTheRun(t *testing.T) {
	b := &board{}
	err := work(t, b, func(context.Context, func(context.Context, string) error) error {
		return muster.Invalid("certificate_file", "the certificate cannot be read", "Check it.")
	})
	if err != nil || len(b.outcomes) != 1 || b.outcomes[0].Error == nil || b.outcomes[0].Error.Code != "invalid_certificate_file" {
		t.Errorf("%v, %+v", err, b.outcomes)
	}
	if err := work(t, b, nil); !errors.Is(err, worker.ErrNoWork) {
		t.Errorf("a second claim: %v", err)
	}
}

func TestReserveWaitsForTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{waits: []time.Duration{time.Minute, 2 * time.Second}}
		began := time.Now()
		_ = work(t, b, func(ctx context.Context, reserve func(context.Context, string) error) error {
			return errors.Join(reserve(ctx, "SoftwareInventoryExport"), errRead)
		})
		if took := time.Since(began); took != time.Minute+2*time.Second {
			t.Errorf("waited %s, want what the board asked for", took)
		}
		b = &board{waits: slices.Repeat([]time.Duration{time.Hour}, 9)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		_ = work(t, b, func(_ context.Context, reserve func(context.Context, string) error) error {
			if err := reserve(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a cancelled wait: %v", err)
			}
			return errRead
		})
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("a cancelled wait lasted %s", took)
		}
	})
}
