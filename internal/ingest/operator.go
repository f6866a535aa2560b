package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
)

// Operator changes devices by a person's decision, which no reconciliation undoes.
type Operator struct {
	stores fleetStore
	now    func() time.Time
	by     string
}

// NewOperator returns an Operator that signs its decisions with a name.
func NewOperator(s fleetStore, now func() time.Time, by string) *Operator {
	return &Operator{s, now, by}
}

// Split takes machines, named by the source's ids, out of a device. They become a device
// together, apart from the machines that stay. It returns the id of the new one.
func (o *Operator) Split(ctx context.Context, device string, machines []string) (string, error) {
	members, err := o.members(ctx, device)
	if err != nil {
		return "", err
	}
	var leave, stay []store.DeviceMachine
	for _, m := range members {
		if slices.Contains(machines, m.MachineID) {
			leave = append(leave, m)
		} else {
			stay = append(stay, m)
		}
	}
	for _, id := range machines {
		if !named(members, id) {
			return "", muster.Invalid("machine", fmt.Sprintf("machine %s is none of device %s", id, device), "Name machines of the device; its row in the devices export lists them.")
		}
	}
	if len(leave) == 0 || len(stay) == 0 {
		return "", muster.Invalid("machine", "a split needs machines that leave and machines that stay", "Name some machines of the device, not all.")
	}
	for _, side := range [][2][]store.DeviceMachine{{leave, stay}, {stay, leave}} {
		for _, m := range side[0] {
			if named(side[1], m.MergedInto) {
				return "", muster.Invalid("machine", fmt.Sprintf("Defender has merged machine %s into %s: what it reports stands there", m.MachineID, m.MergedInto), "Split both off, or neither.")
			}
		}
	}
	err = regroup(ctx, o.stores, wire.Lease{}, leave[0].Tenant, o.now(), func(f *fleet) ([]store.Decision, error) {
		decisions := o.about(ids(leave), ids(stay), true)
		trial := &fleet{nodes: slices.Clone(f.nodes), index: f.index, Grouping: f.Grouping}
		trial.Decisions = slices.Clone(f.Decisions)
		trial.add(decisions)
		reconcile(trial.nodes, trial.verdicts())
		return append(decisions, append(o.together(trial, leave), o.together(trial, stay)...)...), nil
	})
	if err != nil {
		return "", err
	}
	return o.deviceOf(ctx, leave[0])
}

// together keeps one device what only machines of the other side held together.
func (o *Operator) together(f *fleet, side []store.DeviceMachine) []store.Decision {
	var apart []int64
	first := side[0].Machine
	for _, m := range side[1:] {
		if f.nodes[f.index[m.Machine]].founder != f.nodes[f.index[first]].founder {
			apart = append(apart, m.Machine)
		}
	}
	return o.about([]int64{first}, apart, false)
}

// Join makes two devices one and returns its id.
func (o *Operator) Join(ctx context.Context, one, other string) (string, error) {
	a, err := o.members(ctx, one)
	if err != nil {
		return "", err
	}
	b, err := o.members(ctx, other)
	if err != nil {
		return "", err
	}
	if a[0].Machine == b[0].Machine {
		return "", muster.Invalid("device", fmt.Sprintf("%s and %s are one device already", one, other), "Name two devices.")
	}
	err = regroup(ctx, o.stores, wire.Lease{}, a[0].Tenant, o.now(), func(f *fleet) ([]store.Decision, error) {
		if _, shared := f.index[b[0].Machine]; !shared {
			return nil, muster.Invalid("device", "the devices are of tenants that share none", "Group the tenants first.")
		}
		return o.about(ids(a), ids(b), false), nil
	})
	if err != nil {
		return "", err
	}
	return o.deviceOf(ctx, a[0])
}

// Group lets machines be one device across these tenants. Each
// leaves the group that it was in; a single one stands for itself from then on.
func (o *Operator) Group(ctx context.Context, tenants []int64) error {
	touched := map[int64]bool{}
	for _, t := range tenants {
		grouping, err := o.stores.Grouping(ctx, t)
		if err != nil {
			return err
		}
		touched[t] = true
		for _, with := range grouping.Tenants {
			touched[with.Tenant] = true
		}
	}
	if err := o.stores.GroupTenants(ctx, tenants); err != nil {
		return err
	}
	for t := range touched {
		if err := regroup(ctx, o.stores, wire.Lease{}, t, o.now(), nil); err != nil {
			return err
		}
	}
	return nil
}

// members lists the machines of a device, or of the one that its id answers with now.
func (o *Operator) members(ctx context.Context, device string) ([]store.DeviceMachine, error) {
	id, err := o.stores.Device(ctx, device)
	if errors.Is(err, muster.ErrNotFound) {
		return nil, muster.Invalid("device", fmt.Sprintf("there is no device %s", device), "Take an id from the devices export.")
	}
	if err != nil {
		return nil, err
	}
	return o.stores.DeviceMachines(ctx, id)
}

// deviceOf finds the device that a machine is of now.
func (o *Operator) deviceOf(ctx context.Context, m store.DeviceMachine) (string, error) {
	rows, err := o.stores.Machines(ctx, []int64{m.Machine})
	return rows[m.Machine].Device, err
}

// about is one decision about every two machines of two sides.
func (o *Operator) about(one, other []int64, apart bool) []store.Decision {
	var all []store.Decision
	for _, a := range one {
		for _, b := range other {
			all = append(all, store.Decision{A: min(a, b), B: max(a, b), Apart: apart, At: o.now(), By: o.by})
		}
	}
	return all
}

func ids(machines []store.DeviceMachine) []int64 {
	all := make([]int64, len(machines))
	for i, m := range machines {
		all[i] = m.Machine
	}
	return all
}

func named(machines []store.DeviceMachine, id string) bool {
	return slices.ContainsFunc(machines, func(m store.DeviceMachine) bool { return m.MachineID == id })
}
