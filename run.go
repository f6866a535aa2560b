package muster

import (
	"slices"
	"time"
)

// RunState is where a run stands.
type RunState string

const (
	Queued                RunState = "queued"
	Dispatched            RunState = "dispatched"
	Running               RunState = "running"
	Merging               RunState = "merging"
	Succeeded             RunState = "succeeded"
	SucceededWithWarnings RunState = "succeeded_with_warnings"
	Failed                RunState = "failed"
	Cancelled             RunState = "cancelled"
	Missed                RunState = "missed"
	Skipped               RunState = "skipped"
	Abandoned             RunState = "abandoned"
)

// moves is the whole life of a run; the store's WHERE clauses and the docs come from it.
var moves = map[RunState][]RunState{
	Queued:     {Dispatched, Cancelled, Skipped, Missed},
	Dispatched: {Running, Queued, Cancelled, Failed, Abandoned},
	Running:    {Merging, Queued, Failed, Cancelled, Abandoned},
	Merging:    {Succeeded, SucceededWithWarnings, Failed, Cancelled, Abandoned},
}

// AbandonAfter is how often a run may lose whoever works on it (SPEC §4).
const AbandonAfter = 3

// Final tells whether a run in this state is over.
func (s RunState) Final() bool { return len(moves[s]) == 0 }

// May tells whether a run may go from s to next.
func (s RunState) May(next RunState) bool { return slices.Contains(moves[s], next) }

// Before lists the states from which a run may go to s.
func (s RunState) Before() []RunState {
	var from []RunState
	for _, state := range []RunState{Queued, Dispatched, Running, Merging} {
		if state.May(s) {
			from = append(from, state)
		}
	}
	return from
}

// Run is one gathering by a connector.
type Run struct {
	ID         int64
	Connector  string
	Server     string
	Trigger    string // "sync", "schedule", "run now"
	State      RunState
	TenantID   string // the token's tid; "" before sign-in
	QueuedAt   time.Time
	StartedAt  time.Time // zero while queued
	FinishedAt time.Time // zero while not over
	Warnings   []Notice
	Error      *Notice
	Traffic    Traffic
	Datasets   map[Dataset]*DatasetResult
}

// Traffic is what a run has cost at the source.
type Traffic struct {
	APICalls  int64         `json:"api_calls"`
	Bytes     int64         `json:"bytes"`
	Throttled time.Duration `json:"throttled"`
}

// Mode is how a dataset was read.
type Mode string

const (
	ModeFull      Mode = "full"
	ModeChanges   Mode = "changes"
	ModeUnchanged Mode = "unchanged" // the source had nothing newer than what is applied
	ModeSkipped   Mode = "skipped"
)

// DatasetResult is what became of one dataset in a run. Unit: the dataset's rows.
type DatasetResult struct {
	Mode           Mode
	Complete       bool
	SourceTime     time.Time
	SkippedBecause string
	Counts
}

// Counts add up: Read = New + Changed + Unchanged + OutOfScope + Rejected + Duplicates.
// A reopened row counts as changed and in Reopened; Closed stands apart.
type Counts struct {
	Read, New, Changed, Unchanged, Closed, Reopened, OutOfScope, Rejected, Duplicates int64
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	c.Read += o.Read
	c.New += o.New
	c.Changed += o.Changed
	c.Unchanged += o.Unchanged
	c.Closed += o.Closed
	c.Reopened += o.Reopened
	c.OutOfScope += o.OutOfScope
	c.Rejected += o.Rejected
	c.Duplicates += o.Duplicates
}
