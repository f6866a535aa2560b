package defender_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"muster/internal/defender"
	"muster/internal/defender/emulator"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// world is a running emulator, noon of its first day, and a client of it.
func world(t *testing.T, devices int) (*emulator.World, *emulator.Day, *emulator.Server, *defender.Client) {
	t.Helper()
	epoch := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	w := emulator.NewWorld(emulator.Options{Devices: devices, Seed: 7, Epoch: epoch})
	now := func() time.Time { return epoch.Add(12 * time.Hour) }
	server, err := emulator.Start(emulator.ServerOptions{World: w, Now: now, RateLimits: -1})
	if err != nil {
		t.Fatal(err)
	}
	client, err := defender.New(defender.Config{
		TenantID: server.TenantID(), ClientID: server.ClientID(), Secret: defender.Secret(server.Secret()),
		LoginURL: server.LoginURL(), APIURL: server.APIURL(), CAs: server.CAPEM(), Now: now,
		UserAgent: "MdatpPartner-Muster-Muster/0.0.0",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return w, w.Day(0), server, client
}

// count reads to the end; no row may be rejected or hold properties without a name.
func count[T any](t *testing.T, rows iter.Seq2[defender.Row[T], error]) (n int) {
	t.Helper()
	for row, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		if row.Rejected != nil {
			t.Fatalf("row %d rejected: %+v", n, *row.Rejected)
		}
		n++
	}
	return n
}

func length[T any](rows iter.Seq[T]) (n int) {
	for range rows {
		n++
	}
	return n
}

// files counts the rows of an export's files.
func files[T any](t *testing.T, c *defender.Client, kind defender.ExportKind, open func(context.Context, defender.File) iter.Seq2[defender.Row[T], error]) (n int) {
	t.Helper()
	export, err := c.Export(t.Context(), kind)
	if err != nil {
		t.Fatal(err)
	}
	if len(export.Files) == 0 || export.GeneratedTime.IsZero() {
		t.Fatalf("%s: %d files of %v", kind, len(export.Files), export.GeneratedTime)
	}
	for _, f := range export.Files {
		n += count(t, open(t.Context(), f))
	}
	return n
}

// grouped counts the rows of all groups.
func grouped[T any](day *emulator.Day, rows func(int64) iter.Seq[T]) (n int) {
	for _, g := range day.Groups() {
		n += length(rows(g.ID))
	}
	return n
}

func TestEveryDatasetOfTheEmulatorArrivesWhole(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("", func(t *testing.T) { // so that the clean-ups come before the check for leaks
		w, day, server, c := world(t, 300)
		identity, err := c.SignIn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if identity.TenantID != w.TenantID() || identity.AppID != w.ClientID() || len(identity.Roles) != 3 {
			t.Errorf("identity %+v", identity)
		}
		for _, dataset := range []struct {
			name      string
			got, want int
		}{
			{"machines", count(t, c.Machines(t.Context())), length(day.Machines())},
			{"antivirus", count(t, c.AntivirusHealth(t.Context())), length(day.AntivirusHealth())},
			{"catalogue", count(t, c.Catalogue(t.Context(), time.Time{})), length(day.Catalogue())},
			{"vulnerabilities", files(t, c, defender.VulnerabilityExport, c.VulnerabilityFile), grouped(day, day.Vulnerabilities)},
			{"vulnerabilities by machine", count(t, c.VulnerabilitiesByMachine(t.Context())), grouped(day, day.Vulnerabilities)},
			{"configuration", files(t, c, defender.ConfigurationExport, c.ConfigurationFile), grouped(day, day.Configurations)},
			{"software", files(t, c, defender.SoftwareExport, c.SoftwareFile), grouped(day, day.Software)},
			{"other software", files(t, c, defender.NonCPESoftwareExport, c.NonCPESoftwareFile), grouped(day, day.NonCPESoftware)},
			{"information", files(t, c, defender.InformationExport, c.InformationFile), grouped(day, day.Information)},
		} {
			if dataset.got != dataset.want || dataset.got == 0 {
				t.Errorf("%s: %d rows, want %d", dataset.name, dataset.got, dataset.want)
			}
		}
		for _, call := range server.Calls() {
			if api := len(call.Path) > 5 && call.Path[:5] == "/api/"; call.Authorization != api {
				t.Errorf("%s %s: sent with a token: %v", call.Method, call.Path, call.Authorization)
			}
		}
		if skew := c.Skew(); skew != 0 {
			t.Errorf("skew %v", skew)
		}
		if traffic := c.Traffic(); traffic.Calls != int64(len(server.Calls())) || traffic.Bytes == 0 || traffic.Throttled != 0 {
			t.Errorf("traffic %+v of %d calls", traffic, len(server.Calls()))
		}
	})
}

// TestMachinesOfTheEmulatorAreItsMachines compares values, not only counts.
func TestMachinesOfTheEmulatorAreItsMachines(t *testing.T) {
	_, day, _, c := world(t, 60)
	machines := map[string]*emulator.Machine{}
	for m := range day.Machines() {
		machines[m.ID] = m
	}
	for row, err := range c.Machines(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got, want := row.Value, machines[row.Value.ID.Value]
		same(t, "computerDnsName", got.ComputerDNSName, want.ComputerDNSName)
		same(t, "vmId", got.VMID, vmID(want))
		if len(got.MachineTags) != len(want.MachineTags) || len(got.IPAddresses) != len(want.IPAddresses) {
			t.Errorf("%s: tags %v, addresses %v", want.ID, got.MachineTags, got.IPAddresses)
		}
		if want.OSBuild != nil && got.OSBuild.Value != fmt.Sprint(*want.OSBuild) {
			t.Errorf("%s: build %+v, want %d", want.ID, got.OSBuild, *want.OSBuild)
		}
		if (want.LastSeen == nil) != got.LastSeen.IsZero() {
			t.Errorf("%s: last seen %v", want.ID, got.LastSeen)
		}
	}
}

// TestVulnerabilitiesOfTheEmulatorAreItsRows compares the rows of pages and of files
// with what the world holds.
func TestVulnerabilitiesOfTheEmulatorAreItsRows(t *testing.T) {
	_, day, _, c := world(t, 60)
	want := map[string]int{}
	for _, g := range day.Groups() {
		for v := range day.Vulnerabilities(g.ID) {
			text := func(s *string) string {
				if s == nil {
					return "-"
				}
				return "+" + *s
			}
			moment := func(s *string) string {
				if s == nil {
					return "-"
				}
				at, err := time.Parse("2006-01-02 15:04:05.999999999", *s)
				if err != nil {
					t.Fatal(err)
				}
				return at.Format(time.RFC3339Nano)
			}
			want[fmt.Sprint(text(v.DeviceID), text(v.SoftwareVendor), text(v.SoftwareName), text(v.SoftwareVersion), text(v.CVEID),
				text(v.VulnerabilitySeverityLevel), " ", v.CVSSScore, v.SecurityUpdateAvailable, text(v.RecommendedSecurityUpdateURL), text(v.ExploitabilityLevel),
				moment(v.FirstSeenTimestamp), moment(v.LastSeenTimestamp), v.DiskPaths, v.RegistryPaths)]++
		}
	}
	see := func(got map[string]int, rows iter.Seq2[defender.Row[defender.AssetVulnerability], error]) {
		text := func(v defender.Text) string {
			if !v.Valid {
				return "-"
			}
			return "+" + v.Value
		}
		moment := func(at time.Time) string {
			if at.IsZero() {
				return "-"
			}
			return at.Format(time.RFC3339Nano)
		}
		for row, err := range rows {
			if err != nil {
				t.Fatal(err)
			}
			v := row.Value
			got[fmt.Sprint(text(v.DeviceID), text(v.SoftwareVendor), text(v.SoftwareName), text(v.SoftwareVersion), text(v.CVEID),
				text(v.VulnerabilitySeverityLevel), " ", v.CVSSScore.Value, " ", v.SecurityUpdateAvailable.Value, text(v.RecommendedSecurityUpdateURL), text(v.ExploitabilityLevel),
				moment(v.FirstSeenTimestamp), moment(v.LastSeenTimestamp), v.DiskPaths, v.RegistryPaths)]++
		}
	}
	pages, files := map[string]int{}, map[string]int{}
	see(pages, c.VulnerabilitiesByMachine(t.Context()))
	export, err := c.Export(t.Context(), defender.VulnerabilityExport)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range export.Files {
		see(files, c.VulnerabilityFile(t.Context(), f))
	}
	if diff := cmp.Diff(want, pages); diff != "" {
		t.Errorf("pages (-want +got):\n%.3000s", diff)
	}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("files (-want +got):\n%.3000s", diff)
	}
}

func vmID(m *emulator.Machine) *string {
	if m.VMMetadata == nil {
		return nil
	}
	return m.VMMetadata.VMID
}

func same(t *testing.T, name string, got defender.Text, want *string) {
	t.Helper()
	if got.Valid != (want != nil) || want != nil && got.Value != *want {
		t.Errorf("%s: %+v, want %v", name, got, want)
	}
}

func TestTwelveThousandMachinesArriveWhole(t *testing.T) {
	_, day, _, c := world(t, 12_000)
	seen := map[string]bool{}
	for row, err := range c.Machines(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		seen[row.Value.ID.Value] = true
	}
	if want := length(day.Machines()); len(seen) != want || want < 12_000 {
		t.Errorf("%d machines, want %d", len(seen), want)
	}
	if got, want := count(t, c.AntivirusHealth(t.Context())), length(day.AntivirusHealth()); got != want {
		t.Errorf("%d antivirus rows, want %d", got, want)
	}
}

func TestOneMachineOneEntryAndTheProbes(t *testing.T) {
	_, day, _, c := world(t, 60)
	for m := range day.Machines() {
		if err := c.Machine(t.Context(), m.ID); err != nil {
			t.Errorf("machine %s: %v", m.ID, err)
		}
		break
	}
	if err := c.Machine(t.Context(), "0000000000000000000000000000000000000000"); !isNotFound(err) {
		t.Errorf("unknown machine: %v", err)
	}
	for v := range day.Catalogue() {
		row, err := c.CatalogueEntry(t.Context(), v.ID)
		if err != nil || row.Value.ID.Value != v.ID || row.Value.CVSSV3.Value == "" {
			t.Errorf("entry %s: %+v, %v", v.ID, row.Value, err)
		}
		break
	}
	if _, err := c.CatalogueEntry(t.Context(), "CVE-1999-0000"); !isNotFound(err) {
		t.Errorf("unknown entry: %v", err)
	}
	for name, page := range map[string]defender.Page{
		"machine": defender.MachinePage, "antivirus": defender.AntivirusPage, "software": defender.SoftwarePage,
		"vulnerability": defender.VulnerabilityPage, "configuration": defender.ConfigurationPage, "catalogue": defender.CataloguePage,
	} {
		if err := c.Probe(t.Context(), page); err != nil {
			t.Errorf("probe of %s: %v", name, err)
		}
	}
	if err := c.Reach(t.Context()); err != nil {
		t.Errorf("reach: %v", err)
	}
}

func isNotFound(err error) bool { return errors.Is(err, defender.ErrNotFound) }
