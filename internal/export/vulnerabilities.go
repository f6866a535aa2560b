package export

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"muster"
	"muster/internal/store"
)

const definitionOf = "Security.Vulnerability[].Definition."

type described struct {
	cve     string
	members map[string]json.RawMessage
	devices int64
}

var vulnerabilityColumns = []column[described]{
	key("cve", formText, "The CVE, or a temporary `TVM-…` id", func(v *described) cell { return text(v.cve) }),
	attribute("name", definitionOf+"Name", (*described).member),
	attribute("description", definitionOf+"Description", (*described).member),
	attribute("severity", definitionOf+"Severity", (*described).member),
	attribute("cvss", definitionOf+"CVSS", (*described).member),
	attribute("cvss_vector", definitionOf+"CVSSVector", (*described).member),
	attribute("epss", definitionOf+"EPSS", (*described).member),
	attribute("published_on", definitionOf+"PublishedOn", (*described).member),
	attribute("updated_on", definitionOf+"UpdatedOn", (*described).member),
	attribute("public_exploit", definitionOf+"PublicExploit", (*described).member),
	attribute("exploit_verified", definitionOf+"ExploitVerified", (*described).member),
	attribute("exploit_in_kit", definitionOf+"ExploitInKit", (*described).member),
	full("devices_open", formInteger, "Devices in scope with an open finding of it", func(v *described) cell { return integer(v.devices) }),
}

func (v *described) member(target string) cell { return value(v.members[target]) }

// tally is what the findings say of a CVE.
type tally struct {
	devices      int64 // in scope, with an open finding
	open, closed bool  // on a machine of the asked scope
}

func writeVulnerabilities(ctx context.Context, e *exporter) error {
	tallies, err := e.tally(ctx)
	if err != nil {
		return err
	}
	ids, err := e.stores.MetCVEs(ctx)
	if err != nil {
		return err
	}
	maps.DeleteFunc(ids, func(_ string, id int64) bool {
		t := tallies[id]
		return !(t.open && e.options.wants(true) || t.closed && e.options.wants(false))
	})
	out, err := begin(e, vulnerabilityColumns)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(slices.Sorted(maps.Keys(ids)), block) {
		wanted := make([]int64, len(some))
		for i, cve := range some {
			wanted[i] = ids[cve]
		}
		documents, err := e.stores.CatalogueRows(ctx, wanted)
		if err != nil {
			return err
		}
		for i, cve := range some {
			v := described{cve: cve, devices: tallies[wanted[i]].devices}
			if v.members, err = document(documents[wanted[i]]); err != nil {
				return err
			}
			if err := out.row(&v); err != nil {
				return err
			}
		}
	}
	return nil
}

// tally goes through all findings device by device.
func (e *exporter) tally(ctx context.Context) (map[int64]tally, error) {
	cves := map[int64]int64{}
	if err := e.stores.ExposureSoftware(ctx, 0, func(exposure int64, k store.ExposureKey) { cves[exposure] = k.CVE }); err != nil {
		return nil, err
	}
	all, err := e.devices(ctx)
	if err != nil {
		return nil, err
	}
	tallies := map[int64]tally{}
	for some := range slices.Chunk(all, block) {
		rows := map[int64][]store.Item{}
		_, err := e.stores.RowsOf(ctx, store.Findings, muster.Vulnerabilities, machineIDs(some), func(i store.Item) { rows[i.Machine] = append(rows[i.Machine], i) })
		if err != nil {
			return nil, err
		}
		for i := range some {
			e.tallyDevice(&some[i], rows, cves, tallies)
		}
	}
	return tallies, nil
}

func (e *exporter) tallyDevice(d *device, rows map[int64][]store.Item, cves map[int64]int64, tallies map[int64]tally) {
	counted := map[int64]bool{}
	for _, m := range d.machines {
		for _, item := range rows[m.ID] {
			cve := cves[item.ID]
			t := tallies[cve]
			if e.options.lets(m.inScope) {
				t.open, t.closed = t.open || item.Open(), t.closed || !item.Open()
			}
			if m.inScope && item.Open() && !counted[cve] {
				counted[cve] = true
				t.devices++
			}
			tallies[cve] = t
		}
	}
}
