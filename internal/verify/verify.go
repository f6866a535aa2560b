package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"muster"
	"muster/internal/ingest"
	"muster/internal/store"
)

// Stores is what is verified.
type Stores interface {
	store.Integrity
	store.Staging
	HashKey(ctx context.Context) ([]byte, error)
	ExposureSoftware(ctx context.Context, above int64, each func(exposure int64, k store.ExposureKey)) error
	MachineCounts(ctx context.Context, machines []int64) (map[int64]map[store.Class]int64, error)
	DeviceCounts(ctx context.Context, devices []string) (map[string]store.DeviceCounts, error)
	TenantMachines(ctx context.Context, tenant int64, each func(store.MachineRow) error) error
	TotalsOf(ctx context.Context, tenant string, each func(store.Total)) ([]store.TotalDay, error)
}

// kept is how many examples of one kind are given.
const kept = 5

// Problem is one kind of thing that is wrong.
type Problem struct {
	Kind     string   `json:"kind"`
	Meaning  string   `json:"meaning"`
	Count    int64    `json:"count"`
	Examples []string `json:"examples"` // the first few
}

// Checked counts what was looked at.
type Checked struct {
	Machines int64 `json:"machines"`
	Rows     int64 `json:"rows"`
	Digests  int64 `json:"digests"`
	Facts    int64 `json:"facts"`
	Evidence int64 `json:"evidence"`
	Segments int64 `json:"segments"`
}

// Report is the result of a verification.
type Report struct {
	OK       bool      `json:"ok"`
	Checked  Checked   `json:"checked"`
	Problems []Problem `json:"problems"` // in the order of Meanings
}

// Meanings say what each kind of problem is, in the order in which they are reported.
var Meanings = []struct{ Kind, Meaning string }{
	{"digest", "the digest of a machine is not that of its open rows"},
	{"open_rows", "the number of open rows of a machine is not what is recorded"},
	{"last_confirmed", "a machine with open rows was never confirmed"},
	{"judgement", "a machine was judged by a read that never looked for it"},
	{"document", "a dataset of one row a machine has none"},
	{"unknown_machine", "something hangs on a machine that does not exist"},
	{"unknown_connector", "a scope is of a connector that does not exist"},
	{"unknown_tenant", "a dataset's state is of a tenant that does not exist"},
	{"unknown_text", "a row names a software, exposure, CVE or configuration that does not exist"},
	{"unknown_facts", "a row's facts do not exist"},
	{"unknown_evidence", "a row's evidence does not exist"},
	{"closed_row", "a row is closed and was never confirmed, or the other way round"},
	{"event", "the events of a row contradict it"},
	{"device", "a listed machine has no device, or a device has neither a machine nor a founder"},
	{"counted", "a machine is not counted by its scopes, platform and group"},
	{"finding_class", "facts are counted by another severity or exploitability than theirs"},
	{"machine_count", "the open findings of a machine are not those counted"},
	{"device_count", "the open exposures of a device are not those counted"},
	{"device_tally", "the devices of a CVE or software are not those counted"},
	{"total", "the daily totals do not add up, or not to what is open"},
	{"present", "the list of machines of a dataset's last read cannot be read"},
	{"run_state", "a run is in a state that cannot be"},
	{"run_counts", "the counters of a run do not add up"},
	{"unknown_run", "something hangs on a run that does not exist"},
	{"leftover", "something is staged of a run that is over"},
	{"segment", "a staged segment or scope is damaged"},
	{"facts_hash", "the address of facts is not that of their document"},
	{"evidence_hash", "the address of an evidence is not that of its paths"},
}

// verification is one Run under way.
type verification struct {
	stores   Stores
	checked  Checked
	problems map[string]*Problem
}

func (v *verification) found(kind, example string) {
	p := v.problems[kind]
	if p == nil {
		p = &Problem{Kind: kind}
		v.problems[kind] = p
	}
	if p.Count++; len(p.Examples) < kept {
		p.Examples = append(p.Examples, example)
	}
}

// Run verifies a whole database. An error means that it could not be read to its end.
func Run(ctx context.Context, s Stores) (Report, error) {
	v := &verification{stores: s, problems: map[string]*Problem{}}
	for _, check := range []func(context.Context) error{v.flaws, v.machines, v.tenants, v.staged, v.dictionaries} {
		if err := check(ctx); err != nil {
			return Report{}, err
		}
	}
	r := Report{OK: len(v.problems) == 0, Checked: v.checked, Problems: []Problem{}}
	for _, m := range Meanings {
		if p := v.problems[m.Kind]; p != nil {
			p.Meaning = m.Meaning
			r.Problems = append(r.Problems, *p)
			delete(v.problems, m.Kind)
		}
	}
	for kind := range v.problems {
		return Report{}, fmt.Errorf("problem of unknown kind %q", kind)
	}
	return r, nil
}

func (v *verification) flaws(ctx context.Context) error { return v.stores.Flaws(ctx, v.found) }

// block is how many machines are read at a time.
const block = 256

// machines compares what is recorded of every machine with its rows.
func (v *verification) machines(ctx context.Context) error {
	c, err := v.newCounts(ctx)
	if err != nil {
		return err
	}
	err = v.everyMachine(ctx, func(h *store.Held) error {
		v.machine(h)
		return c.machine(ctx, h)
	})
	if err != nil {
		return err
	}
	return c.finish(ctx)
}

// everyMachine visits all machines in id order.
func (v *verification) everyMachine(ctx context.Context, visit func(*store.Held) error) error {
	for above := int64(0); ; {
		var some []store.Held
		if err := v.stores.HeldAbove(ctx, above, block, func(h store.Held) { some = append(some, h) }); err != nil {
			return err
		}
		for i := range some {
			above = some[i].ID
			if err := visit(&some[i]); err != nil {
				return err
			}
		}
		if len(some) == 0 {
			return nil
		}
	}
}

var kinds = map[muster.Dataset]store.ItemKind{
	muster.Software: store.InstalledSoftware, muster.Vulnerabilities: store.Findings, muster.Configuration: store.Configurations,
}

func (v *verification) machine(h *store.Held) {
	v.checked.Machines++
	reported := int64(len(open(h.Rows[store.ReportedSoftware])))
	for kind := range h.Rows {
		v.checked.Rows += int64(len(h.Rows[kind]))
	}
	for dataset, kind := range kinds {
		st, rows := h.States[dataset], open(h.Rows[kind])
		who := fmt.Sprintf("machine %d, %s", h.ID, dataset)
		if st.Digest != nil {
			if v.checked.Digests++; !ingest.DigestHolds(st.Digest, rows) {
				v.found("digest", who)
			}
		}
		// Software that vulnerability rows make counts with them while it is judged by them.
		n := int64(len(rows))
		if st.OpenRows != n && (kind != store.Findings || st.OpenRows != n+reported) {
			v.found("open_rows", fmt.Sprintf("%s: %d, recorded %d", who, n, st.OpenRows))
		}
		if n > 0 && st.LastConfirmed.IsZero() {
			v.found("last_confirmed", who)
		}
	}
}

func open(rows []store.Item) []store.Item {
	return slices.DeleteFunc(slices.Clone(rows), func(i store.Item) bool { return !i.Open() })
}

func (v *verification) tenants(ctx context.Context) error {
	return v.stores.TenantStates(ctx, func(st store.TenantState) {
		if _, err := ingest.PresentMachines(st.Present); err != nil {
			v.found("present", fmt.Sprintf("tenant %d, %s: %v", st.Tenant, st.Dataset, err))
		}
	})
}

func (v *verification) staged(ctx context.Context) error {
	segments, err := v.stores.StagedSegments(ctx)
	if err != nil {
		return err
	}
	for _, s := range segments {
		v.checked.Segments++
		if err := ingest.SegmentHolds(ctx, v.stores, s.Segment); err != nil {
			if !errors.Is(err, store.ErrDamaged) {
				return err
			}
			v.found("segment", fmt.Sprintf("run %d, %s: %v", s.Run, s.Dataset, err))
		}
	}
	return v.stores.DecidedScopes(ctx, func(run int64, scope []byte) {
		if err := ingest.ScopeHolds(scope); err != nil {
			v.found("segment", fmt.Sprintf("run %d: %v", run, err))
		}
	})
}

func (v *verification) dictionaries(ctx context.Context) error {
	err := v.stores.AllFacts(ctx, func(id int64, f store.Facts, _ *store.Class) {
		if v.checked.Facts++; ingest.FactsHash(f.Document) != f.Hash {
			v.found("facts_hash", fmt.Sprintf("facts %d", id))
		}
	})
	if err != nil {
		return err
	}
	key, err := v.stores.HashKey(ctx)
	if err != nil {
		return err
	}
	return v.stores.AllEvidence(ctx, func(e store.Evidence) {
		if v.checked.Evidence++; !ingest.EvidenceHolds(key, e) {
			v.found("evidence_hash", fmt.Sprintf("evidence %x", e.Hash))
		}
	})
}
