package muster_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"muster"
)

func TestParseDatasets(t *testing.T) {
	all := []string{"information", "catalogue", "configuration", "vulnerabilities", "software", "antivirus", "machines"}
	for _, c := range []struct {
		names []string
		want  []muster.Dataset
	}{
		{nil, []muster.Dataset{muster.Machines, muster.Antivirus, muster.Software, muster.Vulnerabilities, muster.Configuration, muster.Catalogue}},
		{[]string{}, muster.DefaultDatasets()},
		{all, muster.Datasets},
		{[]string{"machines"}, []muster.Dataset{muster.Machines}},
		{[]string{" Catalogue", "SOFTWARE", "software"}, []muster.Dataset{muster.Machines, muster.Software, muster.Catalogue}},
		{[]string{"information"}, []muster.Dataset{muster.Machines, muster.Information}},
	} {
		got, err := muster.ParseDatasets(c.names)
		if err != nil {
			t.Errorf("%v: %v", c.names, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.names, diff)
		}
	}
	for _, names := range [][]string{{""}, {"alerts"}, {"machines", "vulnerability"}, {"machines,software"}} {
		_, err := muster.ParseDatasets(names)
		refused(t, names[0], err, "datasets")
	}
	if first := muster.DefaultDatasets(); !slices.Equal(first, muster.DefaultDatasets()) || len(muster.Datasets) != 7 {
		t.Error("the defaults changed by being asked for")
	}
}
