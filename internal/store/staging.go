package store

import (
	"context"
	"time"

	"muster"
	"muster/internal/wire"
)

// Segment is a sorted, durable piece of a dataset as it was read.
type Segment struct {
	ID      int64
	Records int
	Chunks  int
}

// Staged is one committed step of reading: segments, finished parts, counts, together.
type Staged struct {
	Dataset  muster.Dataset
	Sequence int64 // last batch held, from 1; a step with this or an earlier one, come again under the same lease, is ignored
	Records  int
	Chunks   [][]byte
	Parts    []string
	Counts   muster.Counts // Read, OutOfScope, Rejected; what the merge cannot know
	Rejected []wire.Rejected
	Snapshot time.Time
}

// StagedDataset is what a run holds of a dataset.
type StagedDataset struct {
	Completeness wire.Completeness // State "" = reading has not ended
	Snapshot     time.Time
	Parts        []string
	Counts       muster.Counts
	Cursor       int64 // the merge has applied all keys up to this one
	Merged       bool
}

// Staging keeps what was read until it is merged. Every write is refused with
// muster.ErrLeaseLost when the lease's fence is no longer the run's.
type Staging interface {
	// BeginDataset opens a dataset, or one of an earlier lease again; sequences start over.
	BeginDataset(ctx context.Context, l wire.Lease, d muster.Dataset, snapshot time.Time) error
	// Stage commits one step. A chunk's checksum is kept and verified by ReadChunk.
	Stage(ctx context.Context, l wire.Lease, s Staged, now time.Time) error
	EndDataset(ctx context.Context, l wire.Lease, d muster.Dataset, c wire.Completeness) error
	// RestartDataset forgets what was staged of a dataset.
	RestartDataset(ctx context.Context, l wire.Lease, d muster.Dataset) error
	// RejectedRows are the first rejected rows of a dataset, at most 20. They outlive the staging.
	RejectedRows(ctx context.Context, run int64, d muster.Dataset) ([]wire.Rejected, error)
	StagedDatasets(ctx context.Context, run int64) (map[muster.Dataset]StagedDataset, error)
	Segments(ctx context.Context, run int64, d muster.Dataset) ([]Segment, error)
	// ReadChunk gives a chunk's bytes; a damaged one is ErrDamaged.
	ReadChunk(ctx context.Context, segment int64, n int) ([]byte, error)
	SaveScope(ctx context.Context, l wire.Lease, scope []byte, sourceTime time.Time) error
	// RunScope is nil until it was decided.
	RunScope(ctx context.Context, run int64) (scope []byte, sourceTime time.Time, err error)
	// Leftovers lists the runs that are over and still have something staged.
	Leftovers(ctx context.Context) ([]int64, error)
	// DropStaged deletes what a run has staged, a little at a time.
	DropStaged(ctx context.Context, run int64) error
}
