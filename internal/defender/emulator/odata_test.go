package emulator_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/defender/emulator"
)

// text reads a property that can be null.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func seenAt(m *emulator.Machine) time.Time {
	at, _ := time.Parse(time.RFC3339, text(m.LastSeen))
	return at
}

func TestFilters(t *testing.T) {
	f := start(t, emulator.Options{Devices: 400, Seed: 3}, emulator.ServerOptions{RateLimits: -1})
	week := f.world.Epoch().Add(-4 * 24 * time.Hour)
	bare := week.Format(time.RFC3339)
	quoted, tagged := "", ""
	for m := range f.day().Machines() {
		if quoted == "" && len(text(m.ComputerDNSName)) > 4 {
			quoted = (*m.ComputerDNSName)[:4]
		}
		if tagged == "" && len(m.MachineTags) > 0 {
			tagged = m.MachineTags[0]
		}
	}
	escaped := strings.ReplaceAll(tagged, "'", "''")
	for filter, want := range map[string]func(*emulator.Machine) bool{
		"osPlatform eq 'Windows11'":                 func(m *emulator.Machine) bool { return text(m.OSPlatform) == "Windows11" },
		"OSPLATFORM eq 'Windows11'":                 func(m *emulator.Machine) bool { return text(m.OSPlatform) == "Windows11" },
		"osPlatform eq 'windows11'":                 func(m *emulator.Machine) bool { return false },
		"osPlatform ne 'Windows11'":                 func(m *emulator.Machine) bool { return text(m.OSPlatform) != "Windows11" },
		"onboardingstatus eq 'onboarded'":           func(m *emulator.Machine) bool { return m.OnboardingStatus == "Onboarded" },
		"not (onboardingStatus eq 'Onboarded')":     func(m *emulator.Machine) bool { return m.OnboardingStatus != "Onboarded" },
		"lastSeen ge " + bare:                       func(m *emulator.Machine) bool { return !seenAt(m).Before(week) },
		"lastSeen lt " + bare:                       func(m *emulator.Machine) bool { return m.LastSeen != nil && seenAt(m).Before(week) },
		"not lastSeen ge " + bare:                   func(m *emulator.Machine) bool { return m.LastSeen == nil || seenAt(m).Before(week) },
		"lastSeen gt " + week.Format("2006-01-02Z"): func(m *emulator.Machine) bool { return seenAt(m).After(week) },
		"lastSeen le " + week.Format("2006-01-02"):  func(m *emulator.Machine) bool { return m.LastSeen != nil && !seenAt(m).After(week) },
		"lastSeen eq null":                          func(m *emulator.Machine) bool { return m.LastSeen == nil },
		"aadDeviceId ne null":                       func(m *emulator.Machine) bool { return m.AadDeviceID != nil },
		"rbacGroupId eq 0":                          func(m *emulator.Machine) bool { return m.RbacGroupID == 0 },
		"rbacGroupId gt 0 and rbacGroupId lt 50":    func(m *emulator.Machine) bool { return m.RbacGroupID > 0 && m.RbacGroupID < 50 },
		"riskScore eq 'High' or riskScore eq 'Medium' and healthStatus eq 'Active'": func(m *emulator.Machine) bool {
			return text(m.RiskScore) == "High" || text(m.RiskScore) == "Medium" && m.HealthStatus == "Active"
		},
		"(riskScore eq 'High' or riskScore eq 'Medium') and healthStatus eq 'Active'": func(m *emulator.Machine) bool {
			return (text(m.RiskScore) == "High" || text(m.RiskScore) == "Medium") && m.HealthStatus == "Active"
		},
		"startswith(computerDnsName,'" + quoted + "')":             func(m *emulator.Machine) bool { return strings.HasPrefix(text(m.ComputerDNSName), quoted) },
		"not startswith(computerDnsName, '" + quoted + "')":        func(m *emulator.Machine) bool { return !strings.HasPrefix(text(m.ComputerDNSName), quoted) },
		"machineTags/any(tag: tag eq '" + escaped + "')":           func(m *emulator.Machine) bool { return slices.Contains(m.MachineTags, tagged) },
		"machineTags/any(t:t eq '" + escaped + "' or t eq 'none')": func(m *emulator.Machine) bool { return slices.Contains(m.MachineTags, tagged) },
		"machineTags/any(t: t ne '" + escaped + "')": func(m *emulator.Machine) bool {
			return slices.ContainsFunc(m.MachineTags, func(tag string) bool { return tag != tagged })
		},
		"machineTags/any(t: startswith(t,'" + escaped + "'))": func(m *emulator.Machine) bool {
			return slices.ContainsFunc(m.MachineTags, func(tag string) bool { return strings.HasPrefix(tag, tagged) })
		},
		"computerDnsName eq 'O''Neill'": func(m *emulator.Machine) bool { return text(m.ComputerDNSName) == "O'Neill" },
	} {
		var wanted []string
		for m := range f.day().Machines() {
			if want(m) {
				wanted = append(wanted, m.ID)
			}
		}
		p := f.list("/api/machines?$count=true&$filter=" + url.QueryEscape(filter))
		if got := ids(t, p.Value, "id"); !slices.Equal(got, wanted) || *p.Count != len(wanted) {
			t.Errorf("%s: %d machines, count %d, want %d", filter, len(got), *p.Count, len(wanted))
		}
	}
}

func TestFiltersOfTheOtherLists(t *testing.T) {
	f := start(t, emulator.Options{Devices: 100}, emulator.ServerOptions{RateLimits: -1})
	since := f.world.Epoch().Add(-30 * 24 * time.Hour)
	count := 0
	for v := range f.day().Catalogue() {
		at, err := time.Parse(time.RFC3339, v.UpdatedOn)
		if err != nil {
			t.Fatal(err)
		}
		if !at.Before(since) && v.CVSSV3 >= 7.5 {
			count++
		}
	}
	filter := "updatedOn ge " + since.Format(time.RFC3339) + " and cvssV3 ge 7.5"
	if rows, _ := f.whole("/api/vulnerabilities?$filter=" + url.QueryEscape(filter)); len(rows) != count || count == 0 {
		t.Errorf("%s: %d rows, want %d", filter, len(rows), count)
	}
	count = 0
	for row := range f.day().AntivirusHealth() {
		if text(row.AVMode) == "0" && text(row.OSKind) == "windows" {
			count++
		}
	}
	if p := f.list("/api/deviceavinfo?$filter=" + url.QueryEscape("avMode eq '0' and osKind eq 'windows'")); len(p.Value) != count || count == 0 {
		t.Errorf("%d antivirus rows, want %d", len(p.Value), count)
	}
}

func TestQueriesThatODataDoesNotAllow(t *testing.T) {
	f := start(t, emulator.Options{Devices: 3}, emulator.ServerOptions{RateLimits: -1})
	for _, address := range []string{
		"/api/machines?$filter=foo eq 'x'",
		"/api/machines?$filter=firstSeen ge 2026-01-01T00:00:00Z",
		"/api/machines?$filter=rbacGroupName eq 'x'",
		"/api/machines?$filter=computerDnsName",
		"/api/machines?$filter=computerDnsName like 'x'",
		"/api/machines?$filter=computerDnsName eq",
		"/api/machines?$filter=computerDnsName eq 'x",
		"/api/machines?$filter=computerDnsName eq x",
		"/api/machines?$filter=computerDnsName eq 'x' extra",
		"/api/machines?$filter=(computerDnsName eq 'x'",
		"/api/machines?$filter=lastSeen ge '2026-01-01'",
		"/api/machines?$filter=lastSeen ge yesterday",
		"/api/machines?$filter=rbacGroupId eq '1'",
		"/api/machines?$filter=machineTags eq 'x'",
		"/api/machines?$filter=machineTags/any(t: u eq 'x')",
		"/api/machines?$filter=machineTags/all(t: t eq 'x')",
		"/api/machines?$filter=computerDnsName/any(t: t eq 'x')",
		"/api/machines?$filter=contains(computerDnsName,'x')",
		"/api/machines?$filter=startswith(lastSeen,'x')",
		"/api/machines?$filter=and",
		"/api/machines?$filter=" + strings.Repeat("(", 200) + "id eq 'x'" + strings.Repeat(")", 200),
		"/api/machines?$filter=" + strings.Repeat("not ", 200) + "id eq 'x'",
		"/api/machines?$orderby=foo",
		"/api/machines?$orderby=firstSeen",
		"/api/machines?$orderby=id up",
		"/api/machines?$orderby=id,",
		"/api/machines?$orderby=machineTags",
		"/api/machines?$select=foo",
		"/api/machines?$select=onboardingStatus",
		"/api/machines?$count=maybe",
		"/api/machines?$top=-1",
		"/api/machines?$top=x",
		"/api/machines?$skip=1e%2B05",
		"/api/machines?$skip=-1",
		"/api/deviceavinfo?$filter=id eq 'x'",
		"/api/deviceavinfo?$filter=lastSeenTime ge 2026-01-01T00:00:00Z",
		"/api/deviceavinfo?$filter=rbacGroupName eq 'x'",
		"/api/vulnerabilities?$filter=exposedMachines gt 0",
	} {
		path, query, _ := strings.Cut(address, "?")
		r, body := f.get(path + "?" + strings.ReplaceAll(query, " ", "%20"))
		if r.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), `"code":"ODataError"`) {
			t.Errorf("%.100s: %d %.200s", address, r.StatusCode, body)
		}
	}
}

func TestOrder(t *testing.T) {
	f := start(t, emulator.Options{Devices: 150}, emulator.ServerOptions{RateLimits: -1, PageLimit: 40})
	var all []*emulator.Machine
	for m := range f.day().Machines() {
		all = append(all, m)
	}
	byID := func(a, b *emulator.Machine) int { return strings.Compare(a.ID, b.ID) }
	bySeen := func(a, b *emulator.Machine) int {
		if (a.LastSeen == nil) != (b.LastSeen == nil) {
			return map[bool]int{true: -1, false: 1}[a.LastSeen == nil]
		}
		return seenAt(a).Compare(seenAt(b))
	}
	for order, compare := range map[string]func(a, b *emulator.Machine) int{
		"id":       byID,
		"ID desc":  func(a, b *emulator.Machine) int { return byID(b, a) },
		"lastSeen": bySeen,
		"rbacGroupId desc,lastSeen asc, id": func(a, b *emulator.Machine) int {
			if a.RbacGroupID != b.RbacGroupID {
				return int(b.RbacGroupID - a.RbacGroupID)
			}
			if order := bySeen(a, b); order != 0 {
				return order
			}
			return byID(a, b)
		},
	} {
		sorted := slices.Clone(all)
		slices.SortStableFunc(sorted, compare)
		var want []string
		for _, m := range sorted {
			want = append(want, m.ID)
		}
		rows, pages := f.whole("/api/machines?$orderby=" + url.QueryEscape(order))
		if got := ids(t, rows, "id"); !slices.Equal(got, want) || len(pages) < 3 {
			t.Errorf("%s: pages of %v, not in order", order, pages)
		}
		if got := ids(t, f.list("/api/machines?$top=7&$skip=11&$orderby="+url.QueryEscape(order)).Value, "id"); !slices.Equal(got, want[11:18]) {
			t.Errorf("%s: the page in the middle is %v, want %v", order, got, want[11:18])
		}
	}
	if p := f.list("/api/deviceavinfo?$orderby=id"); !slices.IsSorted(ids(t, p.Value, "id")) || len(p.Value) < 50 {
		t.Errorf("deviceavinfo by id: %d rows", len(p.Value))
	}
}

func TestSelect(t *testing.T) {
	f := start(t, emulator.Options{Devices: 3}, emulator.ServerOptions{})
	p := f.list("/api/machines?$top=1&$select=ID,%20healthStatus")
	if want := `{"id":"` + machineIDs(f.day())[0] + `","healthStatus":"`; !strings.HasPrefix(string(p.Value[0]), want) || strings.Count(string(p.Value[0]), ":") != 2 {
		t.Errorf("row %s", p.Value[0])
	}
}
