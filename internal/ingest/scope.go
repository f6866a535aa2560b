package ingest

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"muster"
	"muster/internal/store"
)

// placement is what was decided about one machine when the list was whole.
type placement struct {
	id       int64
	machine  string // the source's id; not stored
	reason   muster.Reason
	listed   bool
	survivor int64 // 0 = stands for itself
	lastSeen time.Time
}

// scope is every machine of the tenant, in id order, as one run must treat it.
type scope struct {
	at         time.Time // the source's clock at the run's start
	placements []placement
}

// decideScope reads the staged list and what is known of the tenant, and places every
// machine. It writes nothing.
func (s *Sink) decideScope(ctx context.Context, run store.RunHead, listTime time.Time) (*scope, error) {
	candidates := map[int64]muster.Candidate{}
	f, err := readFleet(ctx, s.stores, run.Tenant)
	if err != nil {
		return nil, err
	}
	var last uint64
	for r, err := range records(ctx, s.stores, run.ID, muster.Machines, 0) {
		if err != nil {
			return nil, err
		}
		if r.key == last || r.item == rejectedItem {
			continue // a double, or a row that is known by its id alone
		}
		last = r.key
		facts, _, ok := decodeMachine(r.payload)
		at, known := f.index[int64(r.key)]
		if !ok || !known {
			return nil, fmt.Errorf("staged machine %d: %w", r.key, store.ErrDamaged)
		}
		f.nodes[at].list(facts, listTime)
		candidates[int64(r.key)] = muster.Candidate{FirstSeen: facts.FirstSeen, LastSeen: facts.LastSeen, Tags: facts.Tags, OnboardingStatus: facts.OnboardingStatus}
	}
	reconcile(f.nodes, f.verdicts())
	sc := &scope{at: listTime}
	for _, n := range f.nodes {
		if n.tenant != run.Tenant {
			continue
		}
		p := placement{id: n.id, machine: n.machine, lastSeen: n.lastSeen}
		if n.survivor >= 0 {
			p.survivor = f.nodes[n.survivor].id
		}
		c, listed := candidates[n.id]
		c.Merged, c.Superseded = n.survivor >= 0, n.superseded
		p.listed = listed
		p.reason = run.Connector.Settings.Filter.Decide(c, listTime)
		if !listed && !c.Merged && !c.Superseded {
			p.reason = "" // what an unlisted machine becomes is settled by MergeMissing
		}
		sc.placements = append(sc.placements, p)
	}
	return sc, nil
}

// inScope lists the machines to gather for, in id order.
func (s *scope) inScope() []placement {
	var in []placement
	for _, p := range s.placements {
		if p.listed && p.reason == muster.InScope {
			in = append(in, p)
		}
	}
	return in
}

func (s *scope) find(id int64) (placement, bool) {
	at, found := slices.BinarySearchFunc(s.placements, id, func(p placement, id int64) int { return cmp.Compare(p.id, id) })
	if !found {
		return placement{}, false
	}
	return s.placements[at], true
}

// reasons gives every reason a number for the encoded scope; never reorder.
var reasons = []muster.Reason{muster.InScope, muster.OutStale, muster.OutTag, muster.OutNotOnboarded, muster.OutNoDate, muster.OutMerged, muster.OutSuperseded, muster.OutMissing, muster.OutConnectorGone}

func (s *scope) encode() []byte {
	var raw []byte
	var last int64
	for _, p := range s.placements {
		raw = binary.AppendUvarint(raw, uint64(p.id-last))
		last = p.id
		listed := 0
		if p.listed {
			listed = 1
		}
		raw = append(raw, byte(slices.Index(reasons, p.reason)<<1|listed))
		raw = binary.AppendVarint(raw, p.survivor)
		raw = binary.AppendVarint(raw, timeNumber(p.lastSeen))
	}
	return encoder.EncodeAll(raw, nil)
}

func decodeScope(data []byte, at time.Time) (*scope, error) {
	damaged := fmt.Errorf("scope of the run: %w", store.ErrDamaged)
	raw, err := decoder.DecodeAll(data, nil)
	if err != nil {
		return nil, damaged
	}
	s := &scope{at: at}
	var id int64
	for len(raw) > 0 {
		delta, n := binary.Uvarint(raw)
		if n <= 0 || len(raw) <= n || int(raw[n]>>1) >= len(reasons) {
			return nil, damaged
		}
		p := placement{reason: reasons[raw[n]>>1], listed: raw[n]&1 == 1}
		raw = raw[n+1:]
		var v [2]int64
		for i := range v {
			if v[i], n = binary.Varint(raw); n <= 0 {
				return nil, damaged
			}
			raw = raw[n:]
		}
		id += int64(delta)
		p.id, p.survivor, p.lastSeen = id, v[0], numberTime(v[1])
		s.placements = append(s.placements, p)
	}
	return s, nil
}
