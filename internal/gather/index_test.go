package gather

import (
	"testing"

	"pgregory.net/rapid"
)

// TestIndexNumbersLikeAMap holds the index against a map, with hashes that say little, and
// again after it was emptied.
func TestIndexNumbersLikeAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.SampledFrom([]uint64{0, 3 << 32, ^uint64(0)}).Draw(t, "bits of the hash that are left")
		var x index
		for range 2 {
			var texts []string
			numbers := map[string]int32{}
			for _, text := range rapid.SliceOfN(rapid.StringN(0, 3, 3), 0, 300).Draw(t, "texts") {
				got, known := x.find(hashText(text)&bits, func(i int32) bool { return texts[i] == text })
				want, expected := numbers[text]
				if !expected {
					want = int32(len(texts))
					numbers[text] = want
					texts = append(texts, text)
				}
				if got != want || known != expected {
					t.Fatalf("%q is number %d, known: %v; want %d, %v", text, got, known, want, expected)
				}
			}
			x.reset()
		}
	})
}

func TestFollowersAreForgotten(t *testing.T) {
	var x index
	x.follow(4, 7)
	if got := []int32{x.follower(3), x.follower(4), x.follower(5)}; got[0] != -1 || got[1] != 7 || got[2] != -1 {
		t.Errorf("followers %v", got)
	}
	x.reset()
	x.follow(9, 1)
	if got := x.follower(4); got != -1 {
		t.Errorf("after reset 4 is followed by %d", got)
	}
}
