package gather

import (
	"slices"
	"strings"
	"testing"

	"muster/internal/mapping"
	"muster/internal/wire"
)

// TestEveryMappedAttributeIsSent compiles every table of every layout: a column that the
// mapping does not know is refused there, and here every attribute's source must be sent.
func TestEveryMappedAttributeIsSent(t *testing.T) {
	sent := map[string][]string{}
	for dataset, tables := range map[string][][]wire.Column{
		"machines": machineLayout.columns, "antivirus": antivirusLayout.columns, "information": informationLayout.columns, "catalogue": catalogueLayout.columns,
		"vulnerabilities": vulnerabilityLayout.columns, "configuration": configurationLayout.columns, "software": softwareLayout.columns,
	} {
		for _, columns := range tables {
			if _, err := mapping.Compile(dataset, columns); err != nil {
				t.Errorf("%s: %v", dataset, err)
			}
			for _, c := range columns {
				sent[dataset] = append(sent[dataset], c.Name)
			}
		}
	}
	for dataset, numbers := range map[string][]string{"vulnerabilities": {"firstSeenTimestamp", "lastSeenTimestamp"}, "configuration": {"timestamp"}, "software": {"softwareFirstSeenTimestamp", "softwareLastSeenTimestamp"}} {
		sent[dataset] = append(sent[dataset], numbers...)
	}
	for _, a := range mapping.Attributes() {
		source := strings.Replace(a.Source, "DeviceGatheredInfo.", "info.", 1)
		if strings.HasPrefix(source, "(") || strings.HasSuffix(source, "*") {
			continue // no property gives it, or what is left over does
		}
		if !slices.ContainsFunc(sent[a.Dataset], func(name string) bool { return strings.EqualFold(name, source) }) {
			t.Errorf("%s: %s is mapped to %s and never sent", a.Dataset, source, a.Target)
		}
	}
}
