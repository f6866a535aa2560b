package muster_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"muster"
)

// Source times six hours apart, as the service makes its exports; n(0) is never.
func n(i int) time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 6 * time.Hour)
}

func known(applied, looked, assessed, empty int) muster.Known {
	return muster.Known{AppliedAt: n(applied), LookedAt: n(looked), AssessedAt: n(assessed), EmptyAt: n(empty)}
}

// TestJudge follows SPEC §2 sentence by sentence.
func TestJudge(t *testing.T) {
	read := func(snapshot int) muster.Read {
		return muster.Read{Completeness: muster.Complete, Snapshot: n(snapshot)}
	}
	partial := func(snapshot int) muster.Read {
		return muster.Read{Completeness: muster.Partial, Snapshot: n(snapshot)}
	}
	shrunken := func(snapshot int) muster.Read {
		return muster.Read{Completeness: muster.Complete, Snapshot: n(snapshot), Shrunken: true}
	}
	const nothing, apply, closes = 0, 1, 2
	for _, c := range []struct {
		sentence string
		read     muster.Read
		known    muster.Known
		sighting muster.Sighting
		may      int
		after    muster.Known
	}{
		// 1. The read was complete.
		{"a complete read with rows closes what it lacks", read(2), known(1, 1, 1, 0), muster.Sighting{Rows: 3}, closes, known(2, 2, 2, 0)},
		{"the first read of a machine judges it", read(1), known(0, 0, 0, 0), muster.Sighting{Rows: 1}, closes, known(1, 1, 1, 0)},
		{"a partial read only adds and updates", partial(2), known(1, 1, 1, 0), muster.Sighting{Rows: 3}, apply, known(2, 1, 1, 0)},
		{"a partial read without a row says nothing", partial(2), known(1, 1, 1, 0), muster.Sighting{LastSeen: n(2)}, apply, known(1, 1, 1, 0)},
		{"an unknown completeness is partial", muster.Read{Snapshot: n(2)}, known(1, 1, 1, 0), muster.Sighting{Rows: 3}, apply, known(2, 1, 1, 0)},
		{"a rejected row takes its machine out of the judgement", read(2), known(1, 1, 1, 0), muster.Sighting{Rows: 3, Rejected: true}, apply, known(2, 1, 1, 0)},
		{"a rejected row alone does too", read(2), known(1, 1, 1, 0), muster.Sighting{Rejected: true, LastSeen: n(2)}, apply, known(1, 1, 1, 0)},

		// 2. It is newer.
		{"a snapshot older than the last look changes nothing", read(1), known(2, 2, 2, 0), muster.Sighting{Rows: 3}, nothing, known(2, 2, 2, 0)},
		{"a snapshot older than rows of a partial read changes nothing", read(2), known(3, 1, 1, 0), muster.Sighting{Rows: 3}, nothing, known(3, 1, 1, 0)},
		{"nor does an older partial one", partial(1), known(2, 2, 2, 0), muster.Sighting{Rows: 3}, nothing, known(2, 2, 2, 0)},
		{"the same snapshot again may be applied again", read(2), known(2, 2, 2, 0), muster.Sighting{Rows: 3}, closes, known(2, 2, 2, 0)},
		{"the same snapshot, complete after partial, judges", read(2), known(2, 1, 1, 0), muster.Sighting{Rows: 3}, closes, known(2, 2, 2, 0)},

		// 3. The machine shows life.
		{"no row, and silent since the last snapshot: not assessed", read(3), known(2, 2, 2, 0), muster.Sighting{LastSeen: n(1)}, apply, known(2, 3, 2, 0)},
		{"a report at the very time of the last snapshot is not later", read(3), known(2, 2, 2, 0), muster.Sighting{LastSeen: n(2)}, apply, known(2, 3, 2, 0)},
		{"no row and no date: not assessed", read(3), known(2, 2, 2, 0), muster.Sighting{}, apply, known(2, 3, 2, 0)},
		{"no row though alive: the first witness closes nothing", read(3), known(2, 2, 2, 0), muster.Sighting{LastSeen: n(2).Add(1)}, apply, known(2, 3, 2, 3)},
		{"the same snapshot is no second witness", read(3), known(2, 3, 2, 3), muster.Sighting{LastSeen: n(4)}, apply, known(2, 3, 2, 3)},
		{"a second snapshot agrees: closed", read(4), known(2, 3, 2, 3), muster.Sighting{LastSeen: n(3).Add(1)}, closes, known(2, 4, 4, 3)},
		{"silent at the second: not yet", read(4), known(2, 3, 2, 3), muster.Sighting{LastSeen: n(2).Add(1)}, apply, known(2, 4, 2, 3)},
		{"alive again at the third: closed", read(5), known(2, 4, 2, 3), muster.Sighting{LastSeen: n(4).Add(1)}, closes, known(2, 5, 5, 3)},
		{"a row in between forgets the witness", read(4), known(2, 3, 2, 3), muster.Sighting{Rows: 1}, closes, known(4, 4, 4, 0)},
		{"a row in a partial read forgets it too", partial(4), known(2, 3, 2, 3), muster.Sighting{Rows: 1}, apply, known(4, 3, 2, 0)},
		{"so does a row that could not be decoded", read(4), known(2, 3, 2, 3), muster.Sighting{Rejected: true}, apply, known(2, 3, 2, 0)},
		{"a new machine without rows waits for a second snapshot", read(1), known(0, 0, 0, 0), muster.Sighting{LastSeen: n(1)}, apply, known(0, 1, 0, 1)},
		{"and is assessed when that agrees", read(2), known(0, 1, 0, 1), muster.Sighting{LastSeen: n(1).Add(1)}, closes, known(0, 2, 2, 1)},
		{"a new machine that stays silent is never assessed", read(2), known(0, 1, 0, 1), muster.Sighting{LastSeen: n(1)}, apply, known(0, 2, 0, 1)},
		{"one that re-entered the scope starts over", read(5), known(4, 0, 0, 0), muster.Sighting{LastSeen: n(1)}, apply, known(4, 5, 0, 5)},
		{"an assessed empty machine stays assessed while it lives", read(5), known(2, 4, 4, 3), muster.Sighting{LastSeen: n(4).Add(1)}, closes, known(2, 5, 5, 3)},

		// 6. The shrink guard.
		{"the missing part of a shrunken read is not judged", shrunken(2), known(1, 1, 1, 0), muster.Sighting{Rows: 3}, apply, known(2, 1, 1, 0)},
		{"a shrunken read is no witness", shrunken(3), known(2, 2, 2, 0), muster.Sighting{LastSeen: n(3)}, apply, known(2, 2, 2, 0)},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			got := muster.Judge(c.read, c.known, c.sighting)
			want := muster.Judgement{Apply: c.may >= apply, Close: c.may >= closes, Known: c.after}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestJudgeNeverClosesOnAbsence tries any history of reads: whatever happened, closing
// needs a complete, whole, undamaged read that is not older, and either a row or a report
// later than the look before and two different snapshots without a row.
func TestJudgeNeverClosesOnAbsence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k muster.Known
		emptySince := 0 // complete snapshots without a row since the last row
		var newest, lastEmpty time.Time
		for range rapid.IntRange(1, 12).Draw(t, "reads") {
			r := muster.Read{
				Completeness: rapid.SampledFrom([]muster.Completeness{muster.Complete, muster.Complete, muster.Partial}).Draw(t, "completeness"),
				Snapshot:     n(rapid.IntRange(1, 8).Draw(t, "snapshot")),
				Shrunken:     rapid.IntRange(0, 4).Draw(t, "shrunken") == 0,
			}
			s := muster.Sighting{Rows: rapid.IntRange(0, 1).Draw(t, "rows"), Rejected: rapid.IntRange(0, 5).Draw(t, "rejected") == 0, LastSeen: n(rapid.IntRange(0, 9).Draw(t, "seen"))}
			j := muster.Judge(r, k, s)
			whole := r.Completeness == muster.Complete && !r.Shrunken && !s.Rejected
			switch {
			case j.Close && !j.Apply:
				t.Fatal("closed without applying")
			case j.Apply != !r.Snapshot.Before(newest):
				t.Fatalf("apply = %t for snapshot %s after %s", j.Apply, r.Snapshot, newest)
			case j.Close && !whole:
				t.Fatalf("closed by %+v, %+v", r, s)
			case j.Close && s.Rows == 0 && (emptySince == 0 || r.Snapshot.Equal(lastEmpty) || !s.LastSeen.After(k.LookedAt)):
				t.Fatalf("closed on absence alone: %+v after %+v", s, k)
			case j.Close && !j.Known.AssessedAt.Equal(r.Snapshot):
				t.Fatal("judged, but not marked as assessed")
			case !j.Close && !j.Known.AssessedAt.Equal(k.AssessedAt):
				t.Fatal("marked as assessed, but not judged")
			}
			if j.Apply {
				if whole || s.Rows > 0 {
					newest = r.Snapshot
				}
				if s.Rows > 0 || s.Rejected {
					emptySince = 0
				} else if whole {
					emptySince, lastEmpty = emptySince+1, r.Snapshot
				}
			}
			k = j.Known
		}
	})
}

func TestLossShrunken(t *testing.T) {
	for _, c := range []struct {
		sentence string
		loss     muster.Loss
		want     bool
	}{
		{"the first read", muster.Loss{RowsNow: 10}, false},
		{"nothing before, nothing now", muster.Loss{}, false},
		{"growth", muster.Loss{RowsBefore: 10, RowsNow: 20, Had: 10}, false},
		{"exactly half is left", muster.Loss{RowsBefore: 10, RowsNow: 5}, false},
		{"more than half is gone", muster.Loss{RowsBefore: 10, RowsNow: 4}, true},
		{"more than half of an odd number is gone", muster.Loss{RowsBefore: 11, RowsNow: 5}, true},
		{"nothing is left", muster.Loss{RowsBefore: 1}, true},
		{"fewer than 5% of the machines lost all", muster.Loss{RowsBefore: 1000, RowsNow: 990, Had: 201, Lost: 10}, false},
		{"5% of them", muster.Loss{RowsBefore: 1000, RowsNow: 990, Had: 200, Lost: 10}, true},
		{"the only one", muster.Loss{RowsBefore: 1000, RowsNow: 990, Had: 1, Lost: 1}, true},
		{"none, of few", muster.Loss{RowsBefore: 10, RowsNow: 9, Had: 1}, false},
	} {
		if got := c.loss.Shrunken(); got != c.want {
			t.Errorf("%s: %+v: shrunken = %t", c.sentence, c.loss, got)
		}
	}
}

func TestGuardConfirms(t *testing.T) {
	since, snapshot := n(8), n(7)
	guard := muster.Guard{Since: since, Snapshot: snapshot}
	some, none := muster.Loss{RowsBefore: 10, RowsNow: 1}, muster.Loss{RowsBefore: 10}
	day := 24 * time.Hour
	for _, c := range []struct {
		sentence string
		guard    muster.Guard
		loss     muster.Loss
		now      time.Time
		snapshot time.Time
		want     bool
	}{
		{"a day later, another snapshot", guard, some, since.Add(day), n(11), true},
		{"long after", guard, some, since.Add(90 * day), n(12), true},
		{"too early", guard, some, since.Add(day - 1), n(11), false},
		{"the same snapshot", guard, some, since.Add(2 * day), snapshot, false},
		{"an empty read, by an operator alone", guard, none, since.Add(90 * day), n(11), false},
		{"nothing was held back before", muster.Guard{}, some, since.Add(90 * day), n(11), false},
	} {
		if got := c.guard.Confirms(c.loss, c.now, c.snapshot); got != c.want {
			t.Errorf("%s: confirms = %t", c.sentence, got)
		}
	}
}
