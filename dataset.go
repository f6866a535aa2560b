package muster

import (
	"fmt"
	"slices"
	"strings"
)

// Dataset is one kind of data within a run.
type Dataset string

const (
	Machines        Dataset = "machines"
	Antivirus       Dataset = "antivirus"
	Software        Dataset = "software"
	Vulnerabilities Dataset = "vulnerabilities"
	Configuration   Dataset = "configuration"
	Catalogue       Dataset = "catalogue"
	Information     Dataset = "information"
)

// Datasets lists all, in the order in which a run reads and merges them.
var Datasets = []Dataset{Machines, Antivirus, Information, Software, Vulnerabilities, Configuration, Catalogue}

// DefaultDatasets are gathered when nothing else is asked for.
func DefaultDatasets() []Dataset {
	return slices.DeleteFunc(slices.Clone(Datasets), func(d Dataset) bool { return d == Information })
}

// ParseDatasets reads a list of names; machines is always among the result, which is
// in reading order. An empty list means the default.
func ParseDatasets(names []string) ([]Dataset, error) {
	if len(names) == 0 {
		return DefaultDatasets(), nil
	}
	want := map[Dataset]bool{Machines: true}
	for _, name := range names {
		d := Dataset(strings.ToLower(strings.TrimSpace(name)))
		if !slices.Contains(Datasets, d) {
			return nil, Invalid("datasets", fmt.Sprintf("unknown dataset %q", name), "Use some of: "+strings.Join(datasetNames(Datasets), ", ")+".")
		}
		want[d] = true
	}
	return slices.DeleteFunc(slices.Clone(Datasets), func(d Dataset) bool { return !want[d] }), nil
}

func datasetNames(all []Dataset) []string {
	names := make([]string, len(all))
	for i, d := range all {
		names[i] = string(d)
	}
	return names
}
