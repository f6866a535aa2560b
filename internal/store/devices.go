package store

import (
	"context"
	"time"

	"muster"
	"muster/internal/wire"
)

// MatchKeys is what may tell that two machines are one device, as a list last gave it;
// "" = not given.
type MatchKeys struct {
	EntraID  string
	VMID     string
	HostName string
	FQDN     string
	MACs     []string // colon form, sorted; nil = none
}

// GroupKey is a value that a machine was found to hold together with others, none of them
// alive at the same time.
type GroupKey struct {
	Machine int64
	Kind    muster.JoinReason
	Value   string
	Until   time.Time // the machine's last seen at that time; zero = none
}

// Link is why a machine is of the same device as another.
type Link struct {
	Machine, Partner int64
	Reason           muster.JoinReason
	Value            string // of the key; "" for a merge and an operator's decision
	Since            time.Time
}

// DeviceMachine is one of a device's machines and why it is.
type DeviceMachine struct {
	Machine, Tenant     int64
	MachineID           string
	MergedInto          string
	FirstSeen, LastSeen time.Time
	Superseded          bool
	Links               []Link // by partner; the device's oldest machine may have none
}

// Decision is an operator's word that two machines are one device, or are not. A is the
// smaller id.
type Decision struct {
	A, B  int64
	Apart bool
	At    time.Time
	By    string
}

// TenantDevices names a tenant and how often its devices were written.
type TenantDevices struct {
	Tenant   int64
	GUID     string
	Regroups int64
}

// Grouping is what earlier reconciliations of some tenants left behind.
type Grouping struct {
	Tenants   []TenantDevices // in id order
	Keys      []GroupKey      // by machine
	Links     []Link          // by machine and partner
	Decisions []Decision      // by A and B
	// Orphans are devices, of any tenant, whose founder is not known or no machine any more.
	Orphans map[string]bool
}

// Grouped is where a machine belongs.
type Grouped struct {
	Machine    int64
	Device     string
	Superseded bool
}

// Founder is the machine that a device is named after: the device's id goes on answering
// with the device that this machine is of.
type Founder struct {
	Device  string
	Machine int64
}

// Regrouping is one piece of a reconciliation's result.
type Regrouping struct {
	Lease    wire.Lease // of the merge; zero where an operator decides
	Tenants  []TenantDevices
	Machines []Grouped
	Founders []Founder // at least of the devices that are new
	// Replaced lose their keys and links; Keys and Links are what they get instead.
	Replaced []int64
	Keys     []GroupKey
	Links    []Link
	// Decisions replace older ones of the same two machines.
	Decisions []Decision
}

// Devices keeps which machines are one device, and why.
type Devices interface {
	// Grouping reads what is known of the devices of a tenant and of those grouped with it.
	Grouping(ctx context.Context, tenant int64) (Grouping, error)
	// Regroup writes one piece and counts the tenants' Regroups up by one. When another piece
	// was written since they were read, nothing is and the answer is muster.ErrConflict.
	Regroup(ctx context.Context, r Regrouping) error
	// GroupTenants makes these tenants one group, so that machines may be one device across
	// them; each leaves the group that it was in. A single one stands for itself.
	GroupTenants(ctx context.Context, tenants []int64) error
	// Device gives the id of the device that an id answers with: its own, or the one that
	// its founder has joined since. muster.ErrNotFound where there never was such a device.
	Device(ctx context.Context, id string) (string, error)
	// DeviceMachines lists the machines of a device, in id order.
	DeviceMachines(ctx context.Context, id string) ([]DeviceMachine, error)
}
