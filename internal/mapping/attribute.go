package mapping

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Stored says where a target attribute is kept.
type Stored string

const (
	InDocument Stored = "document" // in the JSON document of the machine, row or CVE, under Key
	AsIdentity Stored = "identity" // part of what tells one row from another
	AsColumn   Stored = "column"   // beside the document: times, state, origin
	AsEvidence Stored = "evidence" // paths, kept once for all rows that share them
)

// Attribute pairs one source attribute with one target attribute.
type Attribute struct {
	DataType       string // Device, Security, Software, Vulnerability
	Target         string // "OS.Version", "Security.Vulnerability[].Severity"
	Source         string // as the API spells it in JSON; in brackets what no property gives
	Endpoint       string // "GET /api/machines"
	Type           string // text, integer, number, boolean, time, set of text, object
	Unit           string // unit or allowed values
	Transformation string
	Permission     string // the Entra application permission
	Notes          string

	Dataset string // name of the dataset it is gathered with
	Stored  Stored
	// Heartbeat marks the time of a report: it moves with every report, so its changes are
	// neither history nor what makes a row a changed one.
	Heartbeat bool
	Key       string // in the document; several attributes may share one (the fields of an adapter)

	transform transform
	reads     []string // batch columns, in the order the transformation expects
}

// Unused is a source attribute that is read by nobody, with the reason.
type Unused struct {
	Dataset, Endpoint, Source, Reason string
}

// table is the part of the whole that one source fills.
type table struct {
	dataset, dataType, endpoint, permission string
	attributes                              []Attribute
	unused                                  []Unused
}

func kept(source, target string, t transform, unit, notes string) Attribute {
	return Attribute{Source: source, Target: target, Key: target, Stored: InDocument, transform: t, Unit: unit, Notes: notes}
}

// heartbeat is the time of a report.
func heartbeat(source, target, notes string) Attribute {
	a := kept(source, target, moment, "UTC", notes)
	a.Heartbeat = true
	return a
}

func beside(where Stored, source, target string, t transform, unit, notes string) Attribute {
	return Attribute{Source: source, Target: target, Stored: where, transform: t, Unit: unit, Notes: notes}
}

// ofSoftware files an attribute of a vulnerability row under the software it describes.
func (a Attribute) ofSoftware() Attribute {
	a.DataType = "Software"
	return a
}

func (t *table) finish() {
	for i := range t.attributes {
		a := &t.attributes[i]
		a.Dataset, a.Endpoint, a.Permission = t.dataset, t.endpoint, t.permission
		if a.DataType == "" {
			a.DataType = t.dataType
		}
		a.Transformation = a.transform.says
		if a.Type == "" {
			a.Type = a.transform.gives
		}
		if a.Unit == "" {
			a.Unit = strings.Join(a.transform.values, ", ")
		}
		if a.reads == nil {
			a.reads = []string{a.Source}
		}
	}
	for i := range t.unused {
		t.unused[i].Dataset, t.unused[i].Endpoint = t.dataset, t.endpoint
	}
}

// tables is the whole, in the order of the downloads.
var tables = sync.OnceValue(func() []table {
	all := []table{device(), security(), antivirus(), configuration(), information(), software(), vulnerability(), catalogue()}
	for i := range all {
		all[i].finish()
	}
	return all
})

// Attributes is the whole table in order; the slice is the caller's.
func Attributes() []Attribute {
	var all []Attribute
	for _, t := range tables() {
		all = append(all, t.attributes...)
	}
	return all
}

// NotImported lists the source attributes of the gathered types that feed nothing.
func NotImported() []Unused {
	var all []Unused
	for _, t := range tables() {
		all = append(all, t.unused...)
	}
	return all
}

// MachineKeys are the document keys of a machine's own attributes, of all datasets with
// one row a machine, in table order.
func MachineKeys() []string {
	var keys []string
	for _, a := range Attributes() {
		switch a.Dataset {
		case "machines", "antivirus", "information":
			if a.Stored == InDocument && !slices.Contains(keys, a.Key) {
				keys = append(keys, a.Key)
			}
		}
	}
	return keys
}

// revision is raised when a transformation gives other values under the same description.
const revision = 1

// Version names the pairings and transformations: data mapped by another version is
// read again and compared.
func Version() string { return currentVersion() }

var currentVersion = sync.OnceValue(func() string { return version(Attributes()) })

func version(all []Attribute) string {
	h := sha256.New()
	fmt.Fprintln(h, revision)
	for _, a := range all {
		fmt.Fprintf(h, "%q %q %q %q %q %q\n", a.Dataset, a.Source, a.Target, a.Key, a.Stored, a.Transformation)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
