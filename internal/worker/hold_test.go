package worker

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"muster"
	"muster/internal/defender"
	"muster/internal/wire"
)

// renewals is a Board whose renewals a test directs; nothing else of it is called.
type renewals struct {
	Board
	answer func(n int) (wire.Order, error)
	n      int
	last   wire.Progress
}

func (r *renewals) Renew(_ context.Context, _ wire.Lease, p wire.Progress) (wire.Order, error) {
	r.n++
	r.last = p
	return r.answer(r.n)
}

func TestHold(t *testing.T) {
	cut := errors.New("connection cut")
	for _, c := range []struct {
		name   string
		answer func(n int) (wire.Order, error)
		cause  error
		after  time.Duration
	}{
		{"somebody else has the lease", func(n int) (wire.Order, error) {
			if n == 3 {
				return "", muster.ErrLeaseLost
			}
			return wire.GoOn, nil
		}, muster.ErrLeaseLost, 15 * time.Second},
		{"asked to cancel", func(n int) (wire.Order, error) {
			if n == 2 {
				return wire.Cancel, nil
			}
			return wire.GoOn, nil
		}, errCancelled, 10 * time.Second},
		{"the board cannot be reached until the lease has run out", func(n int) (wire.Order, error) {
			if n <= 2 {
				return wire.GoOn, nil
			}
			return "", cut
		}, muster.ErrLeaseLost, 25 * time.Second},
		{"a renewal that fails once is made up for", func(n int) (wire.Order, error) {
			switch n {
			case 2:
				return "", cut
			case 20:
				return wire.Cancel, nil
			}
			return wire.GoOn, nil
		}, errCancelled, 100 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, err := defender.New(defender.Config{TenantID: "contoso.example", ClientID: "11111111-1111-1111-1111-111111111111", Secret: "s", Now: time.Now})
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				b := &renewals{answer: c.answer}
				h := &hold{worker: &Worker{Board: b, Log: slog.New(slog.DiscardHandler)}, client: client}
				h.report(muster.Software, 42)
				ctx, lost := context.WithCancelCause(t.Context())
				began := time.Now()
				go h.renew(ctx, lost)
				<-ctx.Done()
				synctest.Wait()
				if cause := context.Cause(ctx); !errors.Is(cause, c.cause) {
					t.Errorf("stopped for %v, want %v", cause, c.cause)
				}
				if took := time.Since(began); took != c.after {
					t.Errorf("stopped after %s, want %s", took, c.after)
				}
				if b.last.Dataset != muster.Software || b.last.Rows != 42 {
					t.Errorf("progress %+v", b.last)
				}
			})
		})
	}
}
