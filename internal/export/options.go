package export

import (
	"fmt"
	"slices"
	"strings"

	"muster"
)

// Options say what is written and how. The zero values of Format, State and Scope are
// ndjson, open and in.
type Options struct {
	Name           string   // one of Names
	Format         string   // "ndjson", "csv", "parquet"
	Connectors     []string // names; none = all
	Tenants        []string // the tokens' tid; none = all
	State          string   // "open", "fixed", "all": findings, software, vulnerabilities
	Scope          string   // "in", "out", "all"
	ForSpreadsheet bool     // CSV cells that a spreadsheet would run get a leading '
}

// What the options may be.
var (
	Formats = []string{"ndjson", "csv", "parquet"}
	States  = []string{"open", "fixed", "all"}
	Scopes  = []string{"in", "out", "all"}
)

const (
	stateOpen  = "open"
	stateFixed = "fixed"
	scopeIn    = "in"
	scopeOut   = "out"
	either     = "all"
)

// Validate fills in defaults and refuses what is wrong or not in this version, before
// anything is written.
func (o *Options) Validate() error {
	def, known := exports[o.Name]
	if !known {
		return muster.Invalid("export", fmt.Sprintf("there is no export %q", o.Name), "Use one of: "+strings.Join(Names(), ", ")+".")
	}
	if def.write == nil {
		return muster.Invalid("export", fmt.Sprintf("the export %s is not in this version", o.Name), "Its columns are fixed, but nothing records its rows yet.")
	}
	for _, c := range []struct {
		option string
		value  *string
		may    []string
	}{{"format", &o.Format, Formats}, {"state", &o.State, States}, {"scope", &o.Scope, Scopes}} {
		if *c.value == "" {
			*c.value = c.may[0]
		}
		if !slices.Contains(c.may, *c.value) {
			return muster.Invalid(c.option, fmt.Sprintf("unknown %s %q", c.option, *c.value), "Use one of: "+strings.Join(c.may, ", ")+".")
		}
	}
	if o.ForSpreadsheet && o.Format != "csv" {
		return muster.Invalid("for_spreadsheet", "only CSV can be made for a spreadsheet", "Add --format csv, or leave --for-spreadsheet out.")
	}
	return nil
}

// lets tells whether a machine or device of this scope is wanted.
func (o *Options) lets(inScope bool) bool {
	return o.Scope == either || (o.Scope == scopeIn) == inScope
}

// wants tells whether a row that is open or not is wanted.
func (o *Options) wants(open bool) bool { return o.State == either || (o.State == stateOpen) == open }
