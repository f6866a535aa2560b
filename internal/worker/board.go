package worker

import (
	"context"
	"errors"
	"time"

	"muster/internal/wire"
)

// ErrNoWork is the Board's answer when there is nothing to claim.
var ErrNoWork = errors.New("no work")

// Board is where work is claimed and reported: the database next door, or the platform
// over HTTPS.
type Board interface {
	// Claim takes a job; ErrNoWork when there is none. Two callers never get the same.
	Claim(ctx context.Context) (wire.Lease, wire.Job, error)
	// Renew lengthens the lease and reports progress; the answer is to go on or to
	// cancel. muster.ErrLeaseLost: somebody else has it, stop at once.
	Renew(ctx context.Context, l wire.Lease, p wire.Progress) (wire.Order, error)
	// Budget reserves one call of a tightly limited endpoint; wait > 0 means that
	// nothing was reserved and when to ask again.
	Budget(ctx context.Context, l wire.Lease, endpoint string) (wait time.Duration, err error)
	// Finish ends the reading; repeating it is harmless.
	Finish(ctx context.Context, l wire.Lease, o wire.Outcome) error
}
