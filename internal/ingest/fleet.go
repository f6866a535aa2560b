package ingest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
)

// fleetStore is what reconciliation needs of the database.
type fleetStore interface {
	store.Devices
	TenantMachines(ctx context.Context, tenant int64, each func(store.MachineRow) error) error
	Machines(ctx context.Context, ids []int64) (map[int64]store.MachineRow, error)
}

// fleet is every machine of the tenants that share devices, and what was found about them.
type fleet struct {
	store.Grouping
	nodes  []node
	index  map[int64]int // by machine
	before []found       // by node
}

// found is what a machine's rows say of its device.
type found struct {
	device     string
	superseded bool
	keys       []store.GroupKey
	links      []store.Link
}

func readFleet(ctx context.Context, s fleetStore, tenant int64) (*fleet, error) {
	grouping, err := s.Grouping(ctx, tenant)
	if err != nil {
		return nil, err
	}
	f := &fleet{Grouping: grouping, index: map[int64]int{}}
	for _, t := range f.Tenants {
		err := s.TenantMachines(ctx, t.Tenant, func(m store.MachineRow) error {
			f.index[m.ID] = len(f.nodes)
			f.nodes = append(f.nodes, node{
				id: m.ID, tenant: t.Tenant, machine: m.MachineID, firstSeen: m.FirstSeen, lastSeen: m.LastSeen, keys: matchKeys(m.Keys), mergedInto: m.MergedInto,
				listed: !m.ListedAt.IsZero(), known: m.Device != "", listedAt: m.ListedAt,
			})
			f.before = append(f.before, found{device: m.Device, superseded: m.Superseded})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, k := range f.Keys {
		if i, ok := f.index[k.Machine]; ok {
			f.before[i].keys = append(f.before[i].keys, k)
			f.nodes[i].held = append(f.nodes[i].held, k)
		}
	}
	for _, l := range f.Links {
		if i, ok := f.index[l.Machine]; ok {
			f.before[i].links = append(f.before[i].links, l)
		}
	}
	return f, nil
}

// verdicts are the operators' decisions about two machines of the fleet.
func (f *fleet) verdicts() []verdict {
	var all []verdict
	for _, d := range f.Decisions {
		a, known := f.index[d.A]
		b, too := f.index[d.B]
		if known && too {
			all = append(all, verdict{a, b, d.Apart})
		}
	}
	return all
}

// devices names the devices by node. One is named after its oldest machine, unless that
// one was deleted meanwhile: then the name stays.
func (f *fleet) devices() []string {
	guids := map[int64]string{}
	for _, t := range f.Tenants {
		guids[t.Tenant] = t.GUID
	}
	byFounder := map[int]string{}
	taken := map[string]bool{}
	order := make([]int, len(f.nodes))
	for i := range order {
		order[i] = i
	}
	if len(f.Orphans) > 0 {
		slices.SortFunc(order, func(a, b int) int { return byAge(&f.nodes[a], &f.nodes[b]) })
		for _, i := range order {
			device, founder := f.before[i].device, f.nodes[i].founder
			if f.Orphans[device] && byFounder[founder] == "" && !taken[device] {
				byFounder[founder], taken[device] = device, true
			}
		}
	}
	names := make([]string, len(f.nodes))
	for i := range f.nodes {
		n := &f.nodes[i]
		if !n.listed {
			continue
		}
		if byFounder[n.founder] == "" {
			founder := &f.nodes[n.founder]
			byFounder[n.founder] = deviceID(guids[founder.tenant], founder.machine)
		}
		names[i] = byFounder[n.founder]
	}
	return names
}

// regroupRows is how many machines one transaction gives a device to. What hangs together
// is written at once; machines that are a device alone come after it.
const regroupRows = 5000

// pieces are the differences between what was found now, as of a time, and before.
func (f *fleet) pieces(at time.Time) []store.Regrouping {
	names := f.devices()
	var together, alone store.Regrouping
	founded := map[string]bool{}
	members := make([]int, len(f.nodes)) // by founder
	for i := range f.nodes {
		members[f.nodes[i].founder]++
	}
	for i := range f.nodes {
		n, before := &f.nodes[i], &f.before[i]
		if !n.listed {
			continue
		}
		keys, links := n.held, f.linksOf(n, before, at)
		piece := &alone
		if before.device != "" || members[n.founder] > 1 || len(keys) > 0 {
			piece = &together
		}
		if names[i] != before.device || n.superseded != before.superseded {
			piece.Machines = append(piece.Machines, store.Grouped{Machine: n.id, Device: names[i], Superseded: n.superseded})
		}
		founder := &f.nodes[n.founder]
		if names[i] != before.device || f.Orphans[names[i]] {
			if !founded[names[i]] && f.names(names[i], founder) {
				founded[names[i]] = true
				piece.Founders = append(piece.Founders, store.Founder{Device: names[i], Machine: founder.id})
			}
		}
		if names[i] != before.device && f.Orphans[before.device] && !founded[before.device] && !slices.Contains(names, before.device) {
			founded[before.device] = true // nobody is left there: its id answers with where this one went
			together.Founders = append(together.Founders, store.Founder{Device: before.device, Machine: n.id})
		}
		if !slices.Equal(keys, before.keys) || !slices.Equal(links, before.links) {
			if len(before.keys)+len(before.links) > 0 {
				together.Replaced = append(together.Replaced, n.id)
			}
			together.Keys = append(together.Keys, keys...)
			together.Links = append(together.Links, links...)
		}
	}
	return split(together, alone)
}

// names tells whether a device's id is made of that machine.
func (f *fleet) names(device string, founder *node) bool {
	for _, t := range f.Tenants {
		if t.Tenant == founder.tenant {
			return device == deviceID(t.GUID, founder.machine)
		}
	}
	return false
}

// linksOf writes a node's links, in order; one that was there before keeps its time.
func (f *fleet) linksOf(n *node, before *found, at time.Time) []store.Link {
	var all []store.Link
	for _, l := range n.links {
		row := store.Link{Machine: n.id, Partner: f.nodes[l.partner].id, Reason: l.reason, Value: l.value, Since: at}
		for _, old := range before.links {
			if old.Partner == row.Partner && old.Reason == row.Reason && old.Value == row.Value {
				row.Since = old.Since
			}
		}
		all = append(all, row)
	}
	slices.SortFunc(all, func(a, b store.Link) int { return cmp.Compare(a.Partner, b.Partner) })
	return all
}

func split(together, alone store.Regrouping) []store.Regrouping {
	var all []store.Regrouping
	if len(together.Machines)+len(together.Founders)+len(together.Replaced)+len(together.Keys)+len(together.Links) > 0 {
		all = append(all, together)
	}
	for from := 0; from < len(alone.Machines); from += regroupRows {
		to := min(from+regroupRows, len(alone.Machines))
		all = append(all, store.Regrouping{Machines: alone.Machines[from:to], Founders: alone.Founders[from:to]})
	}
	return all
}

// tries is how often a reconciliation begins anew because somebody else wrote devices of
// the same tenants meanwhile.
const tries = 50

// regroup gives every machine of a tenant, and of those grouped with it, its device. decide
// may add an operator's decisions to what is known; nil = none.
func regroup(ctx context.Context, s fleetStore, lease wire.Lease, tenant int64, at time.Time, decide func(*fleet) ([]store.Decision, error)) error {
	for range tries {
		f, err := readFleet(ctx, s, tenant)
		if err != nil {
			return err
		}
		var decisions []store.Decision
		if decide != nil {
			if decisions, err = decide(f); err != nil {
				return err
			}
			f.add(decisions)
		}
		reconcile(f.nodes, f.verdicts())
		pieces := f.pieces(at)
		if len(decisions) > 0 {
			if len(pieces) == 0 {
				pieces = append(pieces, store.Regrouping{})
			}
			pieces[0].Decisions = decisions
		}
		if err = f.write(ctx, s, lease, pieces); err == nil || !errors.Is(err, muster.ErrConflict) || errors.Is(err, muster.ErrLeaseLost) {
			return err
		}
	}
	return fmt.Errorf("devices of tenant %d: others wrote them %d times meanwhile: %w", tenant, tries, muster.ErrUnavailable)
}

func (f *fleet) write(ctx context.Context, s fleetStore, lease wire.Lease, pieces []store.Regrouping) error {
	for _, p := range pieces {
		p.Lease, p.Tenants = lease, slices.Clone(f.Tenants)
		if err := s.Regroup(ctx, p); err != nil {
			return err
		}
		for i := range f.Tenants {
			f.Tenants[i].Regroups++
		}
	}
	return nil
}

// add puts decisions in the place of older ones about the same machines.
func (f *fleet) add(decisions []store.Decision) {
	for _, d := range decisions {
		f.Decisions = slices.DeleteFunc(f.Decisions, func(old store.Decision) bool { return old.A == d.A && old.B == d.B })
	}
	f.Decisions = append(f.Decisions, decisions...)
}

// deviceID names a device after the machine that founded it, so that it is the same
// whatever the order of arrival, and every machine's own id leads to its device.
func deviceID(tenant, machine string) string {
	sum := sha256.Sum256([]byte(tenant + "|" + machine))
	return "d-" + hex.EncodeToString(sum[:16])
}
