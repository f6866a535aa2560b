package emulator

import (
	"iter"
	"strconv"
)

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

// lostDay is the day on which the exports lack the folder of one device group.
const lostDay = 2

// Groups lists the _RbacGroupId folders that the exports have that day, by id.
func (d *Day) Groups() []Group {
	var present [16]bool
	missing := len(groups)
	for m := range d.hosts() {
		if m.reports && !present[m.group] {
			present[m.group] = true
			if missing--; missing == 0 {
				break
			}
		}
	}
	var all []Group
	for i, g := range groups {
		if present[i] && !d.lost(i) {
			all = append(all, Group{g.id, g.name})
		}
	}
	return all
}

func (d *Day) lost(group int) bool { return group == factory && d.n == lostDay }

// hosts yields every machine of the day, listed or not, then those that are only in the
// exports.
func (d *Day) hosts() iter.Seq[*host] {
	return func(yield func(*host) bool) {
		for i := range d.w.hosts(d.n) {
			if m := d.w.host(i, d.n); !yield(&m) {
				return
			}
		}
		for i := range d.w.ghostHosts() {
			if m := d.w.host(ghosts+i, d.n); !yield(&m) {
				return
			}
		}
	}
}

// Machines yields every record of /api/machines in a fixed order.
func (d *Day) Machines() iter.Seq[*Machine] {
	return func(yield func(*Machine) bool) {
		for m := range d.hosts() {
			if m.listed && !yield(m.record()) {
				return
			}
		}
	}
}

// Machine finds one record by its id.
func (d *Day) Machine(id string) (*Machine, bool) {
	i, ok := d.w.find(id)
	if !ok || i >= d.w.hosts(d.n) {
		return nil, false
	}
	m := d.w.host(i, d.n)
	if !m.listed {
		return nil, false
	}
	return m.record(), true
}

// AntivirusHealth yields every row of /api/deviceavinfo.
func (d *Day) AntivirusHealth() iter.Seq[*DeviceAVInfo] {
	return func(yield func(*DeviceAVInfo) bool) {
		for m := range d.hosts() {
			if m.reports && mix(m.h, 30)%100 < 97 && !yield(m.antivirus()) {
				return
			}
		}
	}
}

func pick(h uint64, all ...string) *string { return &all[h%uint64(len(all))] }

// drift is a number that changes every so many days, on a day of the machine's own.
func (m *host) drift(what uint64, days int) uint64 {
	own := int(mix(m.h, what) % uint64(days))
	return mix(m.h, what, uint64((m.n+1000*days+own)/days))
}

func (m *host) record() *Machine {
	s := &platforms[m.system]
	r := &Machine{
		ID: m.w.id(m.index), IsPotentialDuplication: m.duplication, IsExcluded: m.exclusion != nil, ExclusionReason: m.exclusion,
		ComputerDNSName: m.dnsName(), OSPlatform: &s.list, OSProcessor: pick(0, "x64"), Version: &s.release, OSArchitecture: pick(0, "64-bit"),
		HealthStatus: m.health(), DeviceValue: *pick(skewed(m.h>>16, 95), "Normal", "High", "Low"), ExposureLevel: *pick(m.drift(31, 20), "Low", "Medium", "High", "None"),
		RiskScore: pick(m.drift(32, 15), "None", "Informational", "Low", "Medium", "High"), AadDeviceID: m.entraID(), MachineTags: m.tags(),
		OnboardingStatus: m.status, ManagedBy: *pick(m.h>>24, "Intune", "MicrosoftDefenderForEndpoint", "SystemCenterConfigurationManager", "Unknown"),
		ManagedByStatus: *pick(m.h>>28, "Success", "Unknown", "Success", "Error"), VMMetadata: m.virtualMachine(),
	}
	if m.role != undated && m.role != sparse {
		r.FirstSeen = m.w.zulu(m.firstTicks)
		if m.role != neverReported {
			r.LastSeen = m.w.zulu(m.lastTicks)
		}
	}
	switch m.mergedInto {
	case alone:
	case stranger:
		r.MergedIntoMachineID = new(hex40(mix(m.h, 38), m.h))
	default:
		r.MergedIntoMachineID = new(m.w.id(m.mergedInto))
	}
	r.RbacGroupID = int32(groups[m.group].id)
	if m.group != 0 {
		r.RbacGroupName = &groups[m.group].name
	}
	joined := m.entraOf != nobody
	r.IsAadJoined = &joined
	r.LastIPAddress, r.LastExternalIPAddress, r.IPAddresses = m.addresses()
	if s.build > 0 {
		r.OSBuild = &s.build
	}
	if m.onboarded {
		agent := "10." + strconv.Itoa(8700+int(m.h%20)*5+(m.seen+1000)/30) + "." + strconv.FormatInt(max(s.build, 30), 10) + "." + strconv.Itoa(1000+int(m.h>>8%500))
		r.AgentVersion = &agent
	}
	m.thin(r)
	return r
}

// thin leaves out what the source does not know of machines that it only saw.
func (m *host) thin(r *Machine) {
	switch {
	case m.role == sparse:
		*r = Machine{
			ID: r.ID, HealthStatus: r.HealthStatus, DeviceValue: r.DeviceValue, ExposureLevel: r.ExposureLevel, RbacGroupID: r.RbacGroupID, RbacGroupName: r.RbacGroupName,
			OnboardingStatus: r.OnboardingStatus, ManagedBy: r.ManagedBy, ManagedByStatus: r.ManagedByStatus,
		}
	case !m.onboarded:
		r.OSPlatform, r.Version, r.OSProcessor, r.OSArchitecture, r.RiskScore, r.OSBuild = pick(0, "Other"), pick(0, "Other"), nil, nil, nil, nil
		r.HealthStatus, r.ExposureLevel, r.IsAadJoined = "Unknown", "None", nil
	case m.h>>40%50 == 0:
		r.IPAddresses = []IPAddress{}
	}
}

func (m *host) health() string {
	if m.n-m.seen > inactive {
		return "Inactive"
	}
	switch m.drift(33, 12) % 60 {
	case 0:
		return "ImpairedCommunication"
	case 1:
		return "NoSensorData"
	}
	return "Active"
}

func (m *host) virtualMachine() *VMMetadata {
	if m.role != virtual && m.role != vmBefore && m.role != vmAgain && (!platforms[m.system].server || m.h>>12%3 > 0) {
		return nil
	}
	own := m.w.chance(m.machineOf)
	id, subscription := guid(mix(own, 34), mix(own, 35)), guid(mix(m.w.o.Seed, 36), mix(m.w.o.Seed, 37))
	resource := "/subscriptions/" + subscription + "/resourceGroups/rg-" + *pick(m.h>>20, "web", "data", "edge") + "/providers/Microsoft.Compute/virtualMachines/vm-" + strconv.Itoa(m.index)
	v := &VMMetadata{VMID: &id, CloudProvider: "Azure", ResourceID: &resource, SubscriptionID: &subscription}
	if m.h>>48%5 == 0 {
		v.CloudProvider, v.ResourceID, v.SubscriptionID = "Unknown", nil, nil
	}
	return v
}

// systemVersion is osVersion as the assessments and deviceavinfo have it.
func (m *host) systemVersion() *string {
	s := &platforms[m.system]
	if s.kind != onWindows {
		return &s.assessPrefix
	}
	p := &m.w.catalogue.products[m.system]
	return &p.releases[p.at(m.seen, 4+int(mix(m.h, 20)%30))].text
}
