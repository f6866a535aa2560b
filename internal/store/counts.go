package store

import (
	"context"
	"time"

	"muster/internal/wire"
)

// Standing is an open row as counting looks at it.
type Standing struct {
	Item     int64 // as Item.ID
	Facts    int64
	Software int64
	CVE      int64 // of findings
	Back     bool  // it was closed before this step
}

// Difference is what a step changes of one machine's open rows of one kind: all of them
// before and after, by item.
type Difference struct {
	Machine       int64
	Kind          ItemKind
	Before, After []Standing
}

// Severities are the columns of a device's counts; anything else is counted after them.
var Severities = [...]string{"Critical", "High", "Medium", "Low"}

// NoExploit is the exploitability of what nobody is known to exploit.
const NoExploit = "NoExploit"

// Attributes of a finding's facts that it is counted by.
const (
	SeverityAttribute       = "Security.Vulnerability[].Severity"
	ExploitabilityAttribute = "Security.Vulnerability[].Exploitability"
)

// Attributes of a machine that its findings are counted by.
const (
	PlatformAttribute = "OS.Platform"
	GroupAttribute    = "Discovery.MDE.DeviceGroup.Name"
)

// DeviceCounts are distinct open exposures of a device by severity, other ones last.
type DeviceCounts struct {
	Open        [len(Severities) + 1]int64
	Exploitable [len(Severities) + 1]int64 // of these, with a known exploit
}

// Class is what the findings of a machine are counted by; "" = not given.
type Class struct{ Severity, Exploitability string }

// TallyKind is what devices are counted by.
type TallyKind string

const (
	DevicesByCVE       TallyKind = "cve"       // with an open finding of the CVE
	DevicesExposed     TallyKind = "exposed"   // with an open finding in the software
	DevicesInstalled   TallyKind = "installed" // with the software, by the inventory
	DevicesReportedFor TallyKind = "reported"  // with the software, by vulnerability rows
)

// DefaultOrganisation owns every connector that was given no other.
const DefaultOrganisation = "Default"

// Bucket is what daily totals are kept by; "" = the source gives none.
type Bucket struct{ Organisation, Severity, Platform, Group string }

// Flow is how the open findings of a bucket moved.
type Flow struct{ Opened, Fixed, Reopened, Entered, Left int64 }

// Net is what a flow adds to the open findings.
func (f Flow) Net() int64 { return f.Opened + f.Reopened + f.Entered - f.Fixed - f.Left }

// Add adds o to f.
func (f *Flow) Add(o Flow) {
	f.Opened += o.Opened
	f.Fixed += o.Fixed
	f.Reopened += o.Reopened
	f.Entered += o.Entered
	f.Left += o.Left
}

// Total is a bucket of a tenant on one day (UTC) with a complete read: what is open as of
// the day's last one, and what has moved since the last day that had one.
type Total struct {
	Day string // 2006-01-02
	Bucket
	Open int64
	Flow
}

// Counts are kept by every step. A tenant whose rows are older than its counts is counted
// anew by Recount before its next merge.
type Counts interface {
	// Recount counts everything of a tenant anew, unless it has been counted before.
	Recount(ctx context.Context, l wire.Lease, tenant int64) error
	// FoldTallies adds what steps have found to the devices by CVE and software.
	FoldTallies(ctx context.Context, l wire.Lease, tenant int64) error
	// MachineCounts reads the open findings of machines; absent = none.
	MachineCounts(ctx context.Context, machines []int64) (map[int64]map[Class]int64, error)
	// DeviceCounts reads the counts of devices by their ids' texts; absent = none.
	DeviceCounts(ctx context.Context, devices []string) (map[string]DeviceCounts, error)
	// DeviceTallies reads how many devices there are for some CVEs or software, over some
	// tenants, as of the end of their last merge; absent = none.
	DeviceTallies(ctx context.Context, kind TallyKind, tenants, items []int64) (map[int64]int64, error)
	// FixTimes calls back for the findings of a tenant that were closed as fixed from a time
	// until before another: how many, by severity and whole days since they were first seen.
	FixTimes(ctx context.Context, tenant int64, from, until time.Time, each func(severity string, days, findings int64)) error
}

// TotalDay is a day (UTC) with a complete read of vulnerabilities.
type TotalDay struct {
	Day  string
	AsOf time.Time
}
