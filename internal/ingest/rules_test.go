package ingest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"muster/internal/store"
)

type keys = store.MatchKeys

// TestJoinRules goes through SPEC §6: each step is a list; want are the devices and the
// reasons after the last one.
func TestJoinRules(t *testing.T) {
	pc := func(macs ...string) keys { return keys{HostName: "pc", MACs: macs} }
	named := func(fqdn string) keys { return keys{HostName: "pc", FQDN: fqdn} }
	for _, c := range []struct {
		rule    string
		steps   [][]node
		devices []string
		reasons []string
	}{
		{"by cloud VM id", [][]node{{lived("a", 1, 5, keys{VMID: "v"})}, {lived("b", 6, 9, keys{VMID: "v"})}}, []string{"a! b"}, []string{"b cloud_vm_id a"}},
		{"by MAC and host name", [][]node{{lived("a", 1, 5, pc(mac1))}, {lived("b", 6, 9, pc(mac1, mac2))}}, []string{"a! b"}, []string{"b mac_and_host_name a"}},
		{"by FQDN", [][]node{{lived("a", 1, 5, named("pc.d"))}, {lived("b", 6, 9, named("pc.d"))}}, []string{"a! b"}, []string{"b fqdn a"}},
		{"not by MAC alone", [][]node{{lived("a", 1, 5, keys{HostName: "x", MACs: []string{mac1}}), lived("b", 6, 9, pc(mac1))}}, []string{"a", "b"}, nil},
		{"not by host name alone", [][]node{{lived("a", 1, 5, pc(mac1)), lived("b", 6, 9, pc(mac2))}}, []string{"a", "b"}, nil},
		{"not by zero or given away", [][]node{{
			lived("a", 1, 5, keys{VMID: "00000000-0000-0000-0000-000000000000", HostName: "localhost", FQDN: "localhost.localdomain", MACs: []string{"00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF"}}),
			lived("b", 6, 9, keys{VMID: "00000000-0000-0000-0000-000000000000", HostName: "localhost", FQDN: "localhost.localdomain", MACs: []string{"00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF"}}),
		}}, []string{"a", "b"}, nil},
		{"a MAC of two living machines is a dock's", [][]node{{lived("a", 1, 5, pc(mac1)), lived("b", 6, 9, pc(mac1)), lived("c", 7, 9, keys{HostName: "other", MACs: []string{mac1}})}}, []string{"a", "b", "c"}, nil},
		{"a host name of two living machines is nobody's", [][]node{{lived("a", 1, 5, pc(mac1)), lived("b", 6, 9, pc(mac1)), lived("c", 7, 9, pc(mac3))}}, []string{"a", "b", "c"}, nil},
		{"the dock does not spoil the adapter", [][]node{{lived("a", 1, 5, pc(mac1, mac2)), lived("b", 6, 9, pc(mac1, mac2)), lived("c", 7, 9, keys{HostName: "other", MACs: []string{mac1}})}}, []string{"a! b", "c"}, []string{"b mac_and_host_name a"}},

		{"Entra id goes before VM id", [][]node{{lived("a", 1, 2, keys{VMID: "v", EntraID: "x"})}, {lived("b", 3, 4, keys{VMID: "w", EntraID: "x"})}}, []string{"a! b"}, []string{"b entra_device_id a"}},
		{"a strong key goes before a weak one", [][]node{{lived("a", 1, 2, keys{EntraID: "x"}), lived("b", 1, 3, named("pc.d"))}, {lived("c", 4, 9, keys{EntraID: "x", HostName: "pc", FQDN: "pc.d"})}}, []string{"a! c", "b"}, []string{"c entra_device_id a"}},
		{"MAC and host name go before FQDN", [][]node{
			{lived("a", 1, 2, pc(mac1)), lived("b", 3, 4, keys{HostName: "pc", FQDN: "pc.d", MACs: []string{mac2}})},
			{lived("c", 5, 9, keys{HostName: "pc", FQDN: "pc.d", MACs: []string{mac1}})},
		}, []string{"a! c", "b"}, []string{"c mac_and_host_name a"}},

		{"two devices join by a strong key that came later", [][]node{{lived("a", 1, 5, keys{EntraID: "x"}), lived("b", 6, 9, keys{})}, {lived("b", 6, 9, keys{EntraID: "x"})}}, []string{"a! b"}, []string{"b entra_device_id a"}},
		{"but not by a weak one", [][]node{{lived("a", 1, 5, named("pc.d")), lived("b", 6, 9, keys{HostName: "new"})}, {lived("b", 6, 9, named("pc.d"))}}, []string{"a", "b"}, nil},
		{"nor when a third comes after", [][]node{{lived("a", 1, 5, named("pc.d")), lived("b", 6, 7, keys{HostName: "new"})}, {lived("b", 6, 7, named("pc.d"))}, {lived("c", 8, 9, named("pc.d"))}}, []string{"a", "b", "c"}, nil},
		{"a new machine with the strong keys of two joins them", [][]node{{lived("a", 1, 5, keys{EntraID: "x"}), lived("b", 2, 4, keys{VMID: "v"})}, {lived("c", 6, 9, keys{EntraID: "x", VMID: "v"})}}, []string{"a! b! c"}, []string{"c cloud_vm_id b", "c entra_device_id a"}},
		{"where lives of one device overlap, both count", [][]node{{lived("a", 1, 5, keys{EntraID: "x"}), lived("b", 6, 9, keys{EntraID: "x", VMID: "v"}), lived("c", 4, 5, keys{VMID: "v"})}}, []string{"a! b c!"}, []string{"b cloud_vm_id c", "b entra_device_id a"}},

		{"a known machine keeps its device when it is renamed", [][]node{{lived("a", 1, 5, named("pc.d"))}, {lived("b", 6, 9, named("pc.d"))}, {lived("b", 6, 9, named("new.d"))}}, []string{"a! b"}, []string{"b fqdn a"}},
		{"when the older one comes back to life", [][]node{{lived("a", 1, 5, keys{EntraID: "x"})}, {lived("b", 6, 9, keys{EntraID: "x"})}, {lived("a", 1, 10, keys{EntraID: "x"})}}, []string{"a b"}, []string{"b entra_device_id a"}},
		{"when a stranger shows its key later", [][]node{{lived("a", 1, 5, keys{EntraID: "x"})}, {lived("b", 6, 9, keys{EntraID: "x"})}, {lived("b", 6, 12, keys{EntraID: "x"}), lived("c", 11, 12, keys{EntraID: "x"})}}, []string{"a! b", "c"}, []string{"b entra_device_id a"}},
		{"who falls silent and comes back is itself", [][]node{{lived("a", 1, 5, keys{EntraID: "x"})}, {lived("a", 1, 9, keys{})}}, []string{"a"}, nil},
		{"a value that was shared from the start joins nothing", [][]node{{lived("a", 1, 5, keys{EntraID: "x"})}, {lived("b", 6, 9, keys{EntraID: "x"})}, {lived("c", 4, 7, keys{EntraID: "x"})}}, []string{"a", "b", "c"}, nil},
		{"an older machine that comes later is joined", [][]node{{lived("b", 6, 9, named("pc.d"))}, {lived("a", 1, 5, named("pc.d"))}}, []string{"a! b"}, []string{"b fqdn a"}},

		{"a merged machine has no keys of its own", [][]node{{lived("a", 1, 8, keys{EntraID: "x"}).merged("s"), lived("b", 2, 4, keys{EntraID: "x"}), lived("s", 5, 9, keys{EntraID: "x"})}}, []string{"a>s b! s"}, []string{"a merged s", "s entra_device_id b"}},
		{"what was joined before a merge stays", [][]node{{lived("a", 1, 2, keys{EntraID: "x"}), lived("b", 3, 4, keys{EntraID: "x"}), lived("s", 4, 9, keys{})}, {lived("b", 3, 4, keys{EntraID: "x"}).merged("s")}}, []string{"a! b>s s"}, []string{"b entra_device_id a", "b merged s"}},
		{"never across tenants that are not of one fleet, merges never at all", [][]node{{lived("a", 1, 2, keys{}).merged("s"), ofTenant(2, lived("s", 3, 9, keys{}))}}, []string{"a", "s"}, nil},
		{"keys of grouped tenants", [][]node{{lived("a", 1, 2, keys{VMID: "v"}), ofTenant(2, lived("s", 3, 9, keys{VMID: "v"}))}}, []string{"a! s"}, []string{"s cloud_vm_id a"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			w := &world{}
			for _, step := range c.steps {
				w.list(step...)
			}
			if diff := cmp.Diff(c.devices, w.partition()); diff != "" {
				t.Errorf("devices (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.reasons, w.reasons()); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			before := w.state()
			w.list()
			if diff := cmp.Diff(before, w.state()); diff != "" {
				t.Errorf("changes when nothing does (-before +after):\n%s", diff)
			}
		})
	}
}

func ofTenant(tenant int64, n node) node {
	n.tenant = tenant
	return n
}

// TestDecisions: an operator's word stands against every key, and is taken back by another.
func TestDecisions(t *testing.T) {
	a, b, c := lived("a", 1, 2, keys{EntraID: "x"}), lived("b", 3, 4, keys{EntraID: "x"}), lived("c", 5, 9, keys{EntraID: "x"})
	w := &world{verdicts: map[[2]string]bool{}}
	expect := func(what string, devices []string, reasons ...string) {
		t.Helper()
		w.list()
		if diff := cmp.Diff(devices, w.partition()); diff != "" {
			t.Errorf("%s: devices (-want +got):\n%s", what, diff)
		}
		if diff := cmp.Diff(reasons, w.reasons()); diff != "" {
			t.Errorf("%s: reasons (-want +got):\n%s", what, diff)
		}
	}
	w.list(a, b)
	expect("joined", []string{"a! b"}, "b entra_device_id a")
	w.verdicts[[2]string{"a", "b"}] = true
	expect("split", []string{"a", "b"})
	w.list(c)
	expect("the next of the same key follows the youngest", []string{"a", "b! c"}, "c entra_device_id b")
	w.verdicts[[2]string{"b", "c"}] = true
	expect("split again: it goes to the other", []string{"a! c", "b"}, "c entra_device_id a")
	w.verdicts[[2]string{"a", "c"}] = true
	expect("all apart", []string{"a", "b", "c"})
	w.verdicts[[2]string{"a", "b"}] = false
	expect("joined by hand", []string{"a! b", "c"}, "b operator a")
	w.list(lived("d", 1, 9, keys{}))
	w.verdicts[[2]string{"c", "d"}] = false
	expect("strangers joined", []string{"a! b", "c d"}, "b operator a", "c operator d")
	w.verdicts[[2]string{"a", "d"}] = false
	expect("a join against a split is refused", []string{"a! b d", "c"}, "b operator a", "d operator a")
}

func BenchmarkReconcile(b *testing.B) {
	b.ReportAllocs()
	machines := fleetOf(100_000)
	for b.Loop() {
		reconcile(machines, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Seconds())/float64(b.N), "s/100k")
}

// fleetOf makes machines as a large tenant has them: one in ten re-imaged, docks, clones
// of one host name, and a tenth merged.
func fleetOf(n int) []node {
	nodes := make([]node, n)
	for i := range nodes {
		device := i
		first, last := 1+i%300, 400
		if i%10 == 1 { // the next life of the one before
			device, first = i-1, 390
		}
		if i%10 == 0 {
			last = 380
		}
		k := keys{HostName: fmt.Sprintf("pc-%06d", device), MACs: []string{fmt.Sprintf("00:15:5D:%02X:%02X:%02X", device>>16&255, device>>8&255, device&255)}}
		k.FQDN = k.HostName + ".contoso.example"
		if i%3 > 0 {
			k.EntraID = fmt.Sprintf("%08x-1111-2222-3333-444455556666", device)
		}
		if i%4 == 0 {
			k.MACs = append(k.MACs, "00:50:B6:A1:B2:C3")
		}
		if i%500 == 7 {
			k.HostName, k.FQDN = "desktop", "desktop.contoso.example"
		}
		nodes[i] = lived(fmt.Sprintf("%040x", uint64(i)*0x9e3779b97f4a7c15), first, last, k)
		nodes[i].id, nodes[i].tenant = int64(i+1), 1
		if i%10 == 9 {
			nodes[i].mergedInto = nodes[i-1].machine
		}
	}
	return nodes
}
