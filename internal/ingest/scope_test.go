package ingest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"muster/internal/store"
)

func anyScope() *rapid.Generator[*scope] {
	return rapid.Custom(func(t *rapid.T) *scope {
		s := &scope{at: day(9)}
		id := int64(0)
		for range rapid.IntRange(0, 30).Draw(t, "machines") {
			id += rapid.Int64Range(1, 1<<40).Draw(t, "step")
			s.placements = append(s.placements, placement{
				id: id, reason: rapid.SampledFrom(reasons).Draw(t, "reason"), listed: rapid.Bool().Draw(t, "listed"),
				survivor: rapid.Int64Range(0, 1<<45).Draw(t, "survivor"),
				lastSeen: day(rapid.IntRange(0, 9).Draw(t, "seen")),
			})
		}
		return s
	})
}

func TestScopeEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyScope().Draw(t, "scope")
		data := want.encode()
		got, err := decodeScope(data, want.at)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(scope{}, placement{})); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if len(data) == 0 {
			return
		}
		if _, err := decodeScope(data[:rapid.IntRange(1, len(data)-1).Draw(t, "cut")], want.at); !errors.Is(err, store.ErrDamaged) {
			t.Fatalf("a scope cut short: %v", err)
		}
		damaged := append([]byte(nil), data...)
		damaged[rapid.IntRange(0, len(data)-1).Draw(t, "position")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if other, err := decodeScope(damaged, want.at); err == nil && !cmp.Equal(want, other, cmp.AllowUnexported(scope{}, placement{})) {
			t.Fatal("a changed bit gave another scope")
		}
	})
}

func TestScopeFind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyScope().Draw(t, "scope")
		in := 0
		for _, want := range s.placements {
			got, ok := s.find(want.id)
			if !ok || got != want {
				t.Fatalf("%d: %+v, %t", want.id, got, ok)
			}
			if want.listed && want.reason == "" {
				in++
			}
			if _, ok := s.find(want.id - 1); ok && (len(s.placements) == 1 || want == s.placements[0]) {
				t.Fatalf("%d is not there", want.id-1)
			}
		}
		if got := len(s.inScope()); got != in {
			t.Fatalf("%d machines in scope, want %d", got, in)
		}
		if _, ok := s.find(0); ok {
			t.Fatal("there is no machine 0")
		}
	})
}
