package ingest

import (
	"bytes"
	"cmp"
	"math"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"muster/internal/store"
)

// micros are times as the source may give them, with the ends of the range and none.
func micros() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{store.Null, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64}))
}

func anyRow() *rapid.Generator[row] {
	return rapid.Custom(func(t *rapid.T) row {
		r := row{item: rapid.Int64Min(1).Draw(t, "item"), facts: rapid.Int64Min(0).Draw(t, "facts"), number: micros().Draw(t, "number"), seen: micros().Draw(t, "seen")}
		if rapid.Bool().Draw(t, "evidence") {
			copy(r.evidence[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "hash"))
		}
		return r
	})
}

func TestRowPayload(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyRow().Draw(t, "row")
		payload := want.append(nil)
		got, ok := decodeRow(uint64(want.item), payload)
		if !ok || got != want {
			t.Fatalf("%+v came back as %+v, %t", want, got, ok)
		}
		if at := orderTime(payload); at != want.seen {
			t.Fatalf("seen %d is ordered as %d", want.seen, at)
		}
		for cut := range 10 {
			if _, ok := decodeRow(1, payload[:cut]); ok {
				t.Fatalf("%d bytes of a row were taken for one", cut)
			}
		}
	})
}

// TestPayloadOrder: of two doubles the one seen last is the greater, none is the least.
func TestPayloadOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyRow().Draw(t, "a"), anyRow().Draw(t, "b")
		if a.seen == b.seen {
			return
		}
		if got := bytes.Compare(a.append(nil), b.append(nil)); got != cmp.Compare(a.seen, b.seen) {
			t.Fatalf("payloads of %d and %d compare as %d", a.seen, b.seen, got)
		}
	})
}

func TestMachinePayload(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		when := func(name string) time.Time {
			return numberTime(rapid.OneOf(rapid.Int64Range(-1<<50, 1<<52), rapid.Just(int64(math.MinInt64))).Draw(t, name))
		}
		want := machineFacts{
			FirstSeen: when("first"), LastSeen: when("last"), MergedInto: rapid.String().Draw(t, "merged"),
			OnboardingStatus: rapid.String().Draw(t, "status"), Tags: rapid.SliceOfN(rapid.String(), 0, 5).Draw(t, "tags"),
		}
		text := func(name string) string { return rapid.String().Draw(t, name) }
		want.Keys = store.MatchKeys{EntraID: text("entra"), VMID: text("vm"), HostName: text("host"), FQDN: text("fqdn")}
		for range rapid.IntRange(0, 3).Draw(t, "macs") {
			want.Keys.MACs = append(want.Keys.MACs, text("mac"))
		}
		document := rapid.SliceOf(rapid.Byte()).Draw(t, "document")
		payload := want.append(nil, document)
		got, back, ok := decodeMachine(payload)
		if !ok || !bytes.Equal(back, document) {
			t.Fatalf("document %q came back as %q, %t", document, back, ok)
		}
		if len(want.Tags) == 0 {
			want.Tags, got.Tags = nil, append([]string(nil), got.Tags...)
		}
		if d := diff.Diff(want, got); d != "" {
			t.Fatalf("(-want +got):\n%s", d)
		}
		if at := numberTime(orderTime(payload)); !at.Equal(want.LastSeen) {
			t.Fatalf("last seen %s is ordered as %s", want.LastSeen, at)
		}
		head := len(payload) - len(document)
		if cut := rapid.IntRange(0, head-1).Draw(t, "cut"); cut < head {
			if _, _, ok := decodeMachine(payload[:cut]); ok {
				t.Fatalf("%d of %d bytes were taken for a machine", cut, head)
			}
		}
	})
}

// TestPayloadGarbage decodes bytes of any kind without a panic.
func TestPayloadGarbage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		garbage := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		decodeRow(1, garbage)
		decodeMachine(garbage)
		if _, err := decodeScope(garbage, time.Time{}); err == nil && len(garbage) > 0 {
			t.Fatal("garbage was taken for a scope")
		}
	})
}

func TestTimeNumber(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(0, 0).UTC(), time.Date(2026, 5, 1, 1, 2, 3, 456789000, time.UTC), time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got := numberTime(timeNumber(at)); !got.Equal(at) || got.IsZero() != at.IsZero() {
			t.Errorf("%s came back as %s", at, got)
		}
	}
	if timeNumber(time.Time{}) != store.Null {
		t.Error("no time is not none")
	}
}

func TestDigest(t *testing.T) {
	sum := func(version string, rows ...row) string {
		d := newDigest(version)
		for i := range rows {
			d.add(&rows[i])
		}
		return string(d.sum())
	}
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(anyRow(), 1, 6).Draw(t, "rows")
		want := sum("v1", rows...)
		if sum("v1", rapid.Permutation(rows).Draw(t, "order")...) != want {
			t.Fatal("the order of rows counts")
		}
		if sum("v2", rows...) == want {
			t.Fatal("another mapping has one digest")
		}
		if sum("v1", append(rows, rows[0])...) == want || sum("v1", append(rows, rows[0], rows[0])...) == want {
			t.Fatal("doubles cancel out")
		}
		if sum("v1", rows[1:]...) == want {
			t.Fatal("a row that is gone is not seen")
		}
		changed := func(change func(*row)) bool {
			other := append([]row(nil), rows...)
			change(&other[0])
			return sum("v1", other...) != want
		}
		if changed(func(r *row) { r.seen++ }) {
			t.Fatal("when a row was last seen counts")
		}
		if !changed(func(r *row) { r.item++ }) || !changed(func(r *row) { r.facts++ }) || !changed(func(r *row) { r.number++ }) ||
			!changed(func(r *row) { r.evidence[0]++ }) || !changed(func(r *row) { r.evidence[15]++ }) {
			t.Fatal("a change is not seen")
		}
	})
	if sum("v1") == sum("v2") || sum("v1") != sum("v1", []row{}...) {
		t.Error("no rows")
	}
}
