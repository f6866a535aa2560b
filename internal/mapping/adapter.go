package mapping

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"muster/internal/wire"
)

// adapterColumns are parallel lists, one element an address.
var adapterColumns = []string{"ipAddresses[].ipAddress", "ipAddresses[].macAddress", "ipAddresses[].type", "ipAddresses[].operationalStatus"}

const adapterKey = "Network.TCPIP.BoundAdapter"

// adapter is the attribute of one field of the list of adapters.
func adapter(source, field string, says, unit, notes string) Attribute {
	t := transform{gives: "list of objects", says: says, append: appendAdapters}
	return Attribute{Type: "text", Source: "ipAddresses[]." + source, Target: adapterKey + "[]." + field, Key: adapterKey, Stored: InDocument, transform: t, Unit: unit, Notes: notes, reads: adapterColumns}
}

// appendAdapters writes one sorted array of objects, loopback left out: the order at
// the source changes from answer to answer and means nothing.
func appendAdapters(buf []byte, in *source) ([]byte, error) {
	var lists [4][]int32
	longest, given := 0, false
	for i := range lists {
		list, ok := in.list(i)
		lists[i], longest, given = list, max(longest, len(list)), given || ok
	}
	if !given {
		return buf, nil
	}
	field := func(list, at int) string {
		if at >= len(lists[list]) || lists[list][at] == wire.NullCell {
			return ""
		}
		return in.batch.Texts[lists[list][at]]
	}
	var all [][]byte
	for at := range longest {
		address, kind := field(0, at), field(2, at)
		if isLoopback(address, kind) {
			continue
		}
		if one := appendAdapter(nil, kind, address, PhysicalAddress(field(1, at)), field(3, at)); len(one) > 2 {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, bytes.Compare)
	buf = append(buf, '[')
	buf = append(buf, bytes.Join(all, []byte(","))...)
	return append(buf, ']'), nil
}

// appendAdapter writes an object with sorted keys, empty fields left out.
func appendAdapter(buf []byte, description, address, physical, status string) []byte {
	buf = append(buf, '{')
	for _, f := range [...]struct{ name, value string }{
		{`"Description":`, description}, {`"IPAddress":`, address}, {`"PhysicalAddress":`, physical}, {`"Status":`, status},
	} {
		if f.value == "" {
			continue
		}
		if len(buf) > 1 {
			buf = append(buf, ',')
		}
		buf = AppendString(append(buf, f.name...), f.value)
	}
	return append(buf, '}')
}

func isLoopback(address, kind string) bool {
	if strings.EqualFold(kind, "SoftwareLoopback") {
		return true
	}
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.Unmap().IsLoopback()
}

// PhysicalAddress writes a MAC address in colon form, upper case; all zero is none.
// What is no address of 48 bits stays as given.
func PhysicalAddress(mac string) string {
	digits := strings.ToUpper(strings.NewReplacer(":", "", "-", "", ".", "", " ", "").Replace(mac))
	if strings.Trim(digits, "0") == "" {
		return ""
	}
	if len(digits) != 12 || strings.Trim(digits, "0123456789ABCDEF") != "" {
		return mac
	}
	var b strings.Builder
	for i := 0; i < len(digits); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(digits[i : i+2])
	}
	return b.String()
}
