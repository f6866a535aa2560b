package export

import (
	"cmp"
	"context"
	"slices"
	"time"

	"muster"
	"muster/internal/store"
)

// picked is a machine as the picked connectors see it.
type picked struct {
	store.ListedMachine
	inScope bool
	reason  muster.Reason // why not in scope
	since   time.Time     // since when
}

func (p *picked) scopeReason() cell { return textOrNull(string(p.reason)) }

func (p *picked) connectors() []string {
	names := make([]string, len(p.Scopes))
	for i, s := range p.Scopes {
		names[i] = s.Name
	}
	slices.Sort(names)
	return names
}

// machines lists the picked machines of any scope by tenant and machine id, bytewise.
func (e *exporter) machines(ctx context.Context) ([]picked, error) {
	var found []picked
	err := e.stores.ListedMachines(ctx, func(m store.ListedMachine) {
		if e.tenants != nil && !e.tenants[m.Tenant] {
			return
		}
		if e.connectors != nil {
			m.Scopes = slices.DeleteFunc(m.Scopes, func(s store.ScopedBy) bool { return !e.connectors[s.Connector] })
			if len(m.Scopes) == 0 {
				return
			}
		}
		p := picked{ListedMachine: m}
		p.place()
		found = append(found, p)
	})
	slices.SortFunc(found, func(a, b picked) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.MachineID, b.MachineID))
	})
	return found, err
}

// place decides scope, reason and since from what the connectors say.
func (p *picked) place() {
	var entered time.Time           // latest of those that let it in
	var left, ended *store.ScopedBy // latest of those that did not; of those to whom it has ended
	later := func(s, than *store.ScopedBy) bool {
		return than == nil || s.Since.After(than.Since) || s.Since.Equal(than.Since) && s.Reason < than.Reason
	}
	for i := range p.Scopes {
		s := &p.Scopes[i]
		switch s.Reason {
		case muster.InScope:
			p.inScope = true
			if s.Since.After(entered) {
				entered = s.Since
			}
			continue
		case muster.OutMerged, muster.OutSuperseded:
			if later(s, ended) {
				ended = s
			}
		}
		if later(s, left) {
			left = s
		}
	}
	if p.inScope && ended != nil && !entered.After(ended.Since) {
		p.inScope, left = false, ended
	}
	if !p.inScope && left != nil {
		p.reason, p.since = left.Reason, left.Since
	}
}

// inOrder lists the machines of the asked scope.
func (e *exporter) inOrder(ctx context.Context) ([]picked, error) {
	found, err := e.machines(ctx)
	return slices.DeleteFunc(found, func(p picked) bool { return !e.options.lets(p.inScope) }), err
}

func idsOf(machines []picked) []int64 {
	ids := make([]int64, len(machines))
	for i := range machines {
		ids[i] = machines[i].ID
	}
	return ids
}
