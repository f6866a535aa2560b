package emulator

import (
	"iter"
	"strconv"
	"time"
)

// Options say which world to make. Equal options make equal worlds.
type Options struct {
	Devices     int       // records of /api/machines on day 0; 0 = 1,000
	Seed        uint64    // any
	Epoch       time.Time // UTC midnight of day 0; zero = 2026-11-01
	TenantID    string    // "" = derived from Seed
	ClientID    string    // "" = derived from Seed
	NullCVERows bool      // also give vulnerability rows for software without a known CVE
}

// World is a tenant that ages by day. It holds a catalogue of products and CVEs, never
// machines or rows: those are computed on the fly from Seed, machine, product and day.
type World struct {
	o Options
}

// NewWorld makes the world of o.
func NewWorld(o Options) *World {
	if o.Devices <= 0 {
		o.Devices = 1000
	}
	if o.Epoch.IsZero() {
		o.Epoch = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	}
	if o.TenantID == "" {
		o.TenantID = guid(mix(o.Seed, 1), mix(o.Seed, 2))
	}
	if o.ClientID == "" {
		o.ClientID = guid(mix(o.Seed, 3), mix(o.Seed, 4))
	}
	return &World{o: o}
}

// TenantID is the tenant's GUID.
func (w *World) TenantID() string { return w.o.TenantID }

// ClientID is the GUID of the one app registration.
func (w *World) ClientID() string { return w.o.ClientID }

// Epoch is UTC midnight of day 0.
func (w *World) Epoch() time.Time { return w.o.Epoch }

// Day is the world as it stands n days after the epoch.
type Day struct {
	w *World
	n int
}

// Day gives the world of day n ≥ 0. Cheap; safe for concurrent use, as is what it gives.
func (w *World) Day(n int) *Day { return &Day{w: w, n: n} }

// Group is a device group that has a folder in the exports.
type Group struct {
	ID   int64
	Name string
}

// Groups lists the _RbacGroupId folders that the exports have that day, by id.
func (d *Day) Groups() []Group { return []Group{{0, "Unassigned"}} }

// Machines yields every record of /api/machines in a fixed order.
func (d *Day) Machines() iter.Seq[*Machine] {
	return func(yield func(*Machine) bool) {
		for i := range d.w.o.Devices {
			if m := d.machine(i); !yield(m) {
				return
			}
		}
	}
}

func (d *Day) machine(i int) *Machine {
	h := mix(d.w.o.Seed, uint64(i))
	seen := d.w.o.Epoch.AddDate(0, 0, d.n-1).Add(time.Duration(h%86400) * time.Second).Format(time.RFC3339)
	first := d.w.o.Epoch.AddDate(0, 0, -90).Format(time.RFC3339)
	name := "pc-" + strconv.Itoa(i) + ".contoso.example"
	return &Machine{ID: hex40(h, uint64(i)), ComputerDNSName: &name, FirstSeen: &first, LastSeen: &seen, HealthStatus: "Active", DeviceValue: "Normal",
		ExposureLevel: "Low", MachineTags: []string{}, OnboardingStatus: "Onboarded", ManagedBy: "Intune", ManagedByStatus: "Success", IPAddresses: []IPAddress{}}
}

// Machine finds one record by its id.
func (d *Day) Machine(id string) (*Machine, bool) {
	for m := range d.Machines() {
		if m.ID == id {
			return m, true
		}
	}
	return nil, false
}

// AntivirusHealth yields every row of /api/deviceavinfo.
func (d *Day) AntivirusHealth() iter.Seq[*DeviceAVInfo] {
	return func(yield func(*DeviceAVInfo) bool) {
		for m := range d.Machines() {
			if !yield(&DeviceAVInfo{ID: m.ID, MachineID: &m.ID, ComputerDNSName: m.ComputerDNSName, LastSeenTime: *m.LastSeen, DataRefreshTimestamp: *m.LastSeen}) {
				return
			}
		}
	}
}

// Vulnerabilities yields a group's rows in file order; a row is valid until the next.
func (d *Day) Vulnerabilities(group int64) iter.Seq[*AssetVulnerability] {
	return func(yield func(*AssetVulnerability) bool) {
		for m := range d.Machines() {
			vendor, name, version, cve, at := "microsoft", "edge", "131.0.2903.51", "CVE-2026-1001", "2026-10-20 11:00:00"
			id := m.ID + "_" + vendor + "_" + name + "_" + version + "_" + cve
			if group == 0 && !yield(&AssetVulnerability{ID: &id, DeviceID: &m.ID, DeviceName: m.ComputerDNSName, SoftwareVendor: &vendor, SoftwareName: &name,
				SoftwareVersion: &version, CVEID: &cve, FirstSeenTimestamp: &at, LastSeenTimestamp: &at, CVSSScore: 7}) {
				return
			}
		}
	}
}

// Software yields a group's inventory rows; a row is valid until the next.
func (d *Day) Software(group int64) iter.Seq[*AssetSoftware] {
	return func(yield func(*AssetSoftware) bool) {}
}

// NonCPESoftware yields a group's rows of software without a product code.
func (d *Day) NonCPESoftware(group int64) iter.Seq[*AssetNonCPESoftware] {
	return func(yield func(*AssetNonCPESoftware) bool) {}
}

// Configurations yields a group's configuration checks; a row is valid until the next.
func (d *Day) Configurations(group int64) iter.Seq[*AssetConfiguration] {
	return func(yield func(*AssetConfiguration) bool) {}
}

// Information yields a group's information gathering lines; a row is valid until the next.
func (d *Day) Information(group int64) iter.Seq[*InfoGathering] {
	return func(yield func(*InfoGathering) bool) {}
}

// Catalogue yields every entity of /api/vulnerabilities, by id.
func (d *Day) Catalogue() iter.Seq[*Vulnerability] {
	return func(yield func(*Vulnerability) bool) {}
}
