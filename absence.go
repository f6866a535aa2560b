package muster

import "time"

// Completeness is what a reader says of its read; the writer never guesses it.
type Completeness string

const (
	Complete Completeness = "complete"
	Partial  Completeness = "partial"
)

// Read is one read of one dataset, as SPEC §2 looks at it.
type Read struct {
	Completeness Completeness
	Snapshot     time.Time // the source's time
	Shrunken     bool      // the shrink guard holds this read back, see Shrunken
}

// Sighting is what the read had of one machine.
type Sighting struct {
	Rows     int       // decoded rows
	Rejected bool      // at least one row of it could not be decoded
	LastSeen time.Time // the machine's own report, from the machine list
}

// Known is what earlier reads left behind for one machine and dataset. Zero times = never.
type Known struct {
	AppliedAt  time.Time // snapshot of the last rows applied, from a complete read or not
	LookedAt   time.Time // snapshot of the last complete read that looked for the machine
	AssessedAt time.Time // snapshot of the last complete read that judged it
	EmptyAt    time.Time // first snapshot in which it showed life and had no row; since then it never had one
}

// Judgement is what may be done with one machine after one read.
type Judgement struct {
	Apply bool // rows may be added and updated
	Close bool // rows not seen may be closed
	Known Known
}

// Judge is SPEC §2, points 1 to 3 and 6, for one machine. Nothing is closed on the
// strength of something not seen unless the read was complete, newer, and the machine
// showed life in it.
func Judge(r Read, k Known, s Sighting) Judgement {
	j := Judgement{Known: k}
	if r.Snapshot.Before(k.LookedAt) || r.Snapshot.Before(k.AppliedAt) {
		return j // an older snapshot changes nothing
	}
	j.Apply = true
	if s.Rows > 0 {
		j.Known.AppliedAt = r.Snapshot
	}
	if s.Rows > 0 || s.Rejected {
		j.Known.EmptyAt = time.Time{} // a row, decoded or not, contradicts every earlier witness
	}
	if r.Completeness != Complete || r.Shrunken || s.Rejected {
		return j
	}
	j.Known.LookedAt = r.Snapshot
	switch {
	case s.Rows > 0:
		j.Close, j.Known.AssessedAt = true, r.Snapshot
	case r.Snapshot.Equal(k.LookedAt):
		// The same snapshot is no second witness.
	case !k.LookedAt.IsZero() && !s.LastSeen.After(k.LookedAt):
		// Silent: not assessed since AssessedAt. A report a day and a snapshot every six
		// hours make this the usual case between two witnesses.
	case k.EmptyAt.IsZero():
		j.Known.EmptyAt = r.Snapshot // first witness
	default:
		j.Close, j.Known.AssessedAt = true, r.Snapshot // two snapshots agree
	}
	return j
}

// Loss compares a complete read with the last one, before any filter.
type Loss struct {
	RowsBefore, RowsNow int64 // rows of the last complete read and of this one
	Had, Lost           int64 // machines that had rows, and those of them with none now
}

// Shrunken is the shrink guard: more than half of the rows gone, nothing left, or 5% or
// more of the machines with rows losing all of them at once.
func (l Loss) Shrunken() bool {
	halved := l.RowsBefore > 0 && l.RowsNow*2 < l.RowsBefore
	emptied := l.Lost > 0 && l.Lost*100 >= l.Had*5
	return halved || emptied
}

// Guard is a loss that was held back, waiting for a second witness.
type Guard struct {
	Since    time.Time // source time of the run that first saw the loss
	Snapshot time.Time // snapshot in which it was seen
}

// guardWait is how long after a loss a second run may confirm it (SPEC §2.6).
const guardWait = 24 * time.Hour

// Confirms tells whether a read at source time now with this snapshot confirms the
// loss by itself. An empty read is confirmed by an operator alone.
func (g Guard) Confirms(l Loss, now, snapshot time.Time) bool {
	return !g.Since.IsZero() && l.RowsNow > 0 && !snapshot.Equal(g.Snapshot) && now.Sub(g.Since) >= guardWait
}

// Clock differences between this machine and the source (SPEC §2).
const (
	SkewWarning = 5 * time.Minute
	SkewFailure = 24 * time.Hour
)

// MissingAfter is how far apart two complete lists without a machine must be for it to
// be missing.
const MissingAfter = 6 * time.Hour
