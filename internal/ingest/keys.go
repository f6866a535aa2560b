package ingest

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"muster"
	"muster/internal/mapping"
	"muster/internal/store"
)

// keyKind orders the kinds of keys: strong ones, then weak ones, each as they are tried.
type keyKind uint8

const (
	entraID keyKind = iota
	vmID
	macAndHost
	fqdn
	// Two more are only asked whether they are shared.
	mac
	host
)

// strong keys join two devices that exist; the others bring in new machines alone.
func (k keyKind) strong() bool { return k <= vmID }

var joinReasons = [...]muster.JoinReason{entraID: muster.JoinedByEntraID, vmID: muster.JoinedByVMID, macAndHost: muster.JoinedByMACAndHost, fqdn: muster.JoinedByFQDN}

// key is one value by which machines may be one device.
type key struct {
	kind  keyKind
	value string
}

// keysOf reads the keys of a listed machine, written alike whatever the source's spelling.
// Addresses of the loopback adapter have no place among them, for they are none.
func keysOf(t tuple) store.MatchKeys {
	k := store.MatchKeys{EntraID: strings.ToLower(t.text("aadDeviceId")), VMID: strings.ToLower(t.text("vmMetadata.vmId"))}
	dns := strings.ToLower(strings.TrimSuffix(strings.TrimSpace(t.text("computerDnsName")), "."))
	if _, err := netip.ParseAddr(dns); err != nil { // an address is no name
		if k.HostName, _, _ = strings.Cut(dns, "."); k.HostName != dns {
			k.FQDN = dns
		}
	}
	for _, mac := range t.appendList(nil, "ipAddresses[].macAddress") {
		if mac = mapping.PhysicalAddress(mac); physical(mac) {
			k.MACs = append(k.MACs, mac)
		}
	}
	slices.Sort(k.MACs)
	k.MACs = slices.Compact(k.MACs)
	return k
}

// orBefore takes from an earlier list what this one does not give.
func orBefore(k, before store.MatchKeys) store.MatchKeys {
	k.EntraID, k.VMID = cmp.Or(k.EntraID, before.EntraID), cmp.Or(k.VMID, before.VMID)
	k.HostName, k.FQDN = cmp.Or(k.HostName, before.HostName), cmp.Or(k.FQDN, before.FQDN)
	if len(k.MACs) == 0 {
		k.MACs = before.MACs
	}
	return k
}

// pair is a MAC address with a host name.
func pair(mac, host string) string { return mac + " " + host }

func splitPair(value string) (mac, host string) {
	mac, host, _ = strings.Cut(value, " ")
	return mac, host
}

// matchKeys leaves of a machine's keys what can tell it from others: nothing empty, zero
// or given to every machine by its maker.
func matchKeys(k store.MatchKeys) store.MatchKeys {
	k.EntraID, k.VMID = identity(k.EntraID), identity(k.VMID)
	k.HostName, k.FQDN = name(k.HostName), name(k.FQDN)
	if k.HostName == "" {
		k.FQDN = "" // localhost.localdomain
	}
	k.MACs = slices.DeleteFunc(slices.Clone(k.MACs), func(mac string) bool { return !physical(mac) })
	return k
}

func identity(guid string) string {
	guid = strings.ToLower(strings.TrimSpace(guid))
	if strings.Trim(guid, "0-{}") == "" || strings.Trim(guid, "f-{}") == "" {
		return ""
	}
	return guid
}

func name(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if first, _, _ := strings.Cut(s, "."); first == "localhost" || first == "" || first == "unknown" {
		return ""
	}
	return s
}

// physical tells a MAC address, in colon form, that may be one adapter's own: a group
// address, all of ones among them, is nobody's (IEEE 802-2014, 8.2.2).
func physical(mac string) bool {
	if len(mac) != 17 || mac[2] != ':' || strings.Trim(mac, "0:") == "" {
		return false
	}
	return strings.IndexByte("13579BDFbdf", mac[1]) < 0
}
