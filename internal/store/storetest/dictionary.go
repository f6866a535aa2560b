package storetest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"muster/internal/store"
)

// awkward are texts that a careless collation, quoting or trimming would confuse.
var awkward = []string{"a", "A", "a ", " a", "ä", "a\u0308", "Ä", "a'b", `a"b`, `a\b`, "a%", "a_", "", "é\n", "\u65e5\u672c", "𝕏", "null", "NULL", "0", "00", "1e3", "true"}

var dictionaryTests = []test{
	{"ids come in the order asked for and stay", func(c *testCase) {
		for name, ask := range c.dictionaries() {
			first := ask(awkward)
			c.equal(name+": distinct ids", len(distinct(first)), len(awkward))
			if slices.Contains(first, 0) {
				c.Fatalf("%s: an id is 0", name)
			}
			backwards := slices.Clone(awkward)
			slices.Reverse(backwards)
			second := ask(append(backwards, backwards...)) // doubles too
			slices.Reverse(second)
			c.equal(name+": again", second[:len(awkward)], first)
			c.equal(name+": doubles", second[len(awkward):], first)
			mixed := ask([]string{"new", "a", "new", "newer", "A"}) // some known, some not
			c.equal(name+": known ones", []int64{mixed[1], mixed[4], mixed[2]}, []int64{first[0], first[1], mixed[0]})
			c.equal(name+": nothing", len(ask(nil)), 0)
		}
	}},
	{"many at once", func(c *testCase) {
		many := make([]string, 2000)
		for i := range many {
			many[i] = fmt.Sprintf("text %d", (i*7919)%len(many))
		}
		for name, ask := range c.dictionaries() {
			first := ask(many)
			c.equal(name+": distinct ids", len(distinct(first)), len(many))
			c.equal(name+": again", ask(many), first)
		}
	}},
	{"texts that a database may refuse", func(c *testCase) {
		for name, ask := range c.dictionaries() {
			for _, text := range []string{"nul\x00inside", "\x00", "not \xff UTF-8", "half \xed\xa0\x80"} {
				first := ask([]string{text, "plain"})
				c.equal(name+": again", ask([]string{"plain", text}), []int64{first[1], first[0]})
			}
		}
	}},
	{"every part of a key counts", func(c *testCase) {
		var keys []store.SoftwareKey
		for _, k := range [][3]string{{"v", "n", "1"}, {"v", "n", ""}, {"v", "", "1"}, {"", "n", "1"}, {"vn", "", "1"}, {"v", "n1", ""}, {"n", "v", "1"}} {
			keys = append(keys, store.SoftwareKey{Vendor: k[0], Name: k[1], Version: k[2]})
		}
		software, err := c.SoftwareIDs(c.Context(), keys)
		c.ok(err)
		c.equal("software", len(distinct(software)), 7)
		exposures, err := c.ExposureIDs(c.Context(), exposureKeys([2]int64{1, 2}, [2]int64{2, 1}, [2]int64{1, 0}, [2]int64{1, 1 << 40}, [2]int64{1 << 40, 1}))
		c.ok(err)
		c.equal("exposures", len(distinct(exposures)), 5)
	}},
	{"machines of two tenants stand apart", func(c *testCase) {
		one, err := c.TenantID(c.Context(), "one")
		c.ok(err)
		two, err := c.TenantID(c.Context(), "two")
		c.ok(err)
		again, err := c.TenantID(c.Context(), "one")
		c.ok(err)
		c.equal("tenant", again, one)
		a, err := c.MachineIDs(c.Context(), one, []string{"m1", "m2"})
		c.ok(err)
		b, err := c.MachineIDs(c.Context(), two, []string{"m2", "m1"})
		c.ok(err)
		c.equal("distinct ids", len(distinct(append(a, b...))), 4)
	}},
	{"facts and evidence come back", documentsBack},
	{"met CVEs and exposures are listed", func(c *testCase) {
		cves, err := c.CVEIDs(c.Context(), []string{"CVE-2026-2", "CVE-2026-1"})
		c.ok(err)
		met, err := c.MetCVEs(c.Context())
		c.ok(err)
		c.equal("met", met, map[string]int64{"CVE-2026-2": cves[0], "CVE-2026-1": cves[1]})
		keys := exposureKeys([2]int64{7, cves[0]}, [2]int64{7, 0}, [2]int64{8, cves[1]})
		ids, err := c.ExposureIDs(c.Context(), keys)
		c.ok(err)
		want := map[int64]store.ExposureKey{}
		for i, id := range ids {
			want[id] = keys[i]
		}
		c.equal("all", c.exposures(0), want)
		least := slices.Min(ids)
		delete(want, least)
		c.equal("above the first", c.exposures(least), want)
		c.equal("above the last", len(c.exposures(slices.Max(ids))), 0)
	}},
	{"the key of this database is made once", func(c *testCase) {
		keys := make([][]byte, 8)
		c.together(len(keys), func(i int) (err error) {
			keys[i], err = c.HashKey(c.Context())
			return err
		})
		for _, key := range keys {
			c.equal("length", len(key), 32)
			c.equal("key", key, keys[0])
		}
	}},
	{"writers at the same time get the same ids", func(c *testCase) {
		texts := make([]string, 600)
		for i := range texts {
			texts[i] = fmt.Sprintf("t%d", i)
		}
		for name, ask := range c.dictionaries() {
			// Every writer asks for pieces that overlap the others', in its own order.
			ids := make([]map[string]int64, 4)
			c.together(len(ids), func(w int) error {
				own := slices.Clone(texts)
				if w%2 == 1 {
					slices.Reverse(own)
				}
				ids[w] = map[string]int64{}
				for piece := range slices.Chunk(own, 50+10*w) {
					for i, id := range ask(piece) {
						ids[w][piece[i]] = id
					}
				}
				return nil
			})
			for _, other := range ids[1:] {
				c.equal(name, other, ids[0])
			}
		}
	}},
}

// dictionaries are all tables of texts behind one signature.
func (c *testCase) dictionaries() map[string]func([]string) []int64 {
	tenant, err := c.TenantID(c.Context(), tenantGUID)
	c.ok(err)
	checked := func(ids []int64, err error) []int64 {
		if err != nil {
			c.Errorf("unexpected error: %v", err)
		}
		return ids
	}
	return map[string]func([]string) []int64{
		"machines":       func(t []string) []int64 { return checked(c.MachineIDs(c.Context(), tenant, t)) },
		"cves":           func(t []string) []int64 { return checked(c.CVEIDs(c.Context(), t)) },
		"configurations": func(t []string) []int64 { return checked(c.ConfigurationIDs(c.Context(), t)) },
		"software": func(t []string) []int64 {
			keys := make([]store.SoftwareKey, len(t))
			for i := range t {
				keys[i] = store.SoftwareKey{Vendor: "v", Name: t[i], Version: "1"}
			}
			return checked(c.SoftwareIDs(c.Context(), keys))
		},
		"exposures": func(t []string) []int64 {
			keys := make([]store.ExposureKey, len(t))
			for i := range t {
				keys[i] = store.ExposureKey{Software: int64(number(t[i])), CVE: int64(len(t[i]))}
			}
			return checked(c.ExposureIDs(c.Context(), keys))
		},
		"facts": func(t []string) []int64 {
			facts := make([]store.Facts, len(t))
			for i := range t {
				binary.BigEndian.PutUint64(facts[i].Hash[:], number(t[i]))
				facts[i].Document = []byte(`{}`)
			}
			return checked(c.FactsIDs(c.Context(), facts))
		},
	}
}

// number is another one for every text of these tests, below 2^63.
func number(text string) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range []byte(text) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h >> 1
}

func distinct(ids []int64) []int64 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// together runs n calls at the same time.
func (c *testCase) together(n int, call func(i int) error) {
	c.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = call(i) })
	}
	all.Wait()
	for _, err := range errs {
		c.ok(err)
	}
}

func exposureKeys(pairs ...[2]int64) []store.ExposureKey {
	keys := make([]store.ExposureKey, len(pairs))
	for i, p := range pairs {
		keys[i] = store.ExposureKey{Software: p[0], CVE: p[1]}
	}
	return keys
}

func (c *testCase) exposures(above int64) map[int64]store.ExposureKey {
	c.Helper()
	found := map[int64]store.ExposureKey{}
	last := above
	c.ok(c.ExposureSoftware(c.Context(), above, func(id int64, k store.ExposureKey) {
		if id <= last {
			c.Errorf("exposure %d after %d", id, last)
		}
		last = id
		found[id] = k
	}))
	return found
}

func documentsBack(c *testCase) {
	facts := []store.Facts{{Hash: [16]byte{1}, Document: []byte(`{"a":"ä\u0000'"}`)}, {Hash: [16]byte{15: 1}, Document: []byte(`{}`)}}
	ids, err := c.FactsIDs(c.Context(), facts)
	c.ok(err)
	back, err := c.FactsOf(c.Context(), append(ids, 1<<40))
	c.ok(err)
	c.equal("facts", back, map[int64][]byte{ids[0]: facts[0].Document, ids[1]: facts[1].Document})

	evidence := []store.Evidence{
		{Hash: [16]byte{2}, DiskPaths: `["C:\\Program Files\\ä"]`, RegistryPaths: `[]`},
		{Hash: [16]byte{0, 2}, DiskPaths: `[]`, RegistryPaths: `["HKLM\\x"]`},
	}
	c.ok(c.SaveEvidence(c.Context(), nil))
	c.ok(c.SaveEvidence(c.Context(), append(evidence, evidence[0]))) // a double
	c.ok(c.SaveEvidence(c.Context(), evidence[1:]))
	found, err := c.EvidenceOf(c.Context(), [][16]byte{evidence[0].Hash, evidence[1].Hash, {9}})
	c.ok(err)
	c.equal("evidence", found, map[[16]byte]store.Evidence{evidence[0].Hash: evidence[0], evidence[1].Hash: evidence[1]})
	nothing, err := c.EvidenceOf(c.Context(), nil)
	c.ok(err)
	c.equal("no evidence", len(nothing), 0)
}
