package ingest

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/store"
)

func TestPresence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := presence(rapid.SliceOfDistinct(rapid.Int64Range(1, 1<<40), func(id int64) int64 { return id }).Draw(t, "machines"))
		slices.Sort(p)
		got, err := decodePresence(p.encode())
		if err != nil || !slices.Equal(got, p) {
			t.Fatalf("%v, %v, want %v", got, err, p)
		}
		kept := p[:len(p)/2]
		if lost := p.without(kept); lost != int64(len(p)-len(kept)) {
			t.Fatalf("%d lost of %v with %v left", lost, p, kept)
		}
	})
	if _, err := decodePresence([]byte{0x80}); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a cut list: %v", err)
	}
}
