package wire

import (
	"time"

	"muster"
)

// Lease is the right to work on a run: every write carries it, and one with an older
// fence than the run's is refused.
type Lease struct {
	Run   int64     `json:"run"`
	Fence int64     `json:"fence"`
	Until time.Time `json:"until"`
}

// JobKind is what a worker is asked to do.
type JobKind string

const (
	Gather  JobKind = "gather"
	Check   JobKind = "check"
	Preview JobKind = "preview"
)

// Job is one piece of reading, with the settings as of its dispatch.
type Job struct {
	Kind      JobKind                  `json:"kind"`
	Connector muster.Connector         `json:"connector"`
	Full      bool                     `json:"full"`
	Staged    map[muster.Dataset]Stage `json:"staged"` // what an earlier lease of this run has left
}

// Stage is how far a dataset was read under an earlier lease.
type Stage struct {
	Done     bool      `json:"done"`
	Snapshot time.Time `json:"snapshot"` // of the finished parts
	Parts    []string  `json:"parts"`    // finished parts, read again only if the snapshot moved
}

// Scope is what was decided when the machine list was whole.
type Scope struct {
	InScope int      `json:"in_scope"` // machines
	Listed  int      `json:"listed"`
	Unseen  []string `json:"unseen"` // known machines that the complete list lacks; at most 200
	// Applied is, per dataset, the snapshot that is applied completely for every machine
	// now in scope by this version of the mapping; such a snapshot needs no second reading.
	Applied map[muster.Dataset]time.Time `json:"applied"`
}

// CatalogueNeed says which catalogue entries are wanted: those changed since, and the
// CVEs met but never described. Whole asks for every page.
type CatalogueNeed struct {
	Whole bool      `json:"whole"`
	Since time.Time `json:"since"`
	CVEs  []string  `json:"cves"`
}

// Completeness ends the reading of a dataset.
type Completeness struct {
	Mode       muster.Mode         `json:"mode"`
	State      muster.Completeness `json:"state"`
	Reason     string              `json:"reason"` // why partial or skipped, one sentence
	SourceTime time.Time           `json:"source_time"`
	Warnings   []muster.Notice     `json:"warnings"` // that came up meanwhile; they stay with the run
}

// Progress is what a renewal tells about the work under way.
type Progress struct {
	Dataset muster.Dataset `json:"dataset"`
	Rows    int64          `json:"rows"`
	Traffic muster.Traffic `json:"traffic"`
}

// Order is the answer to a renewal.
type Order string

const (
	GoOn   Order = "go on"
	Cancel Order = "cancel"
)

// Outcome ends a reading.
type Outcome struct {
	TenantID  string          `json:"tenant_id"`
	Error     *muster.Notice  `json:"error"`
	Cancelled bool            `json:"cancelled"`
	Warnings  []muster.Notice `json:"warnings"`
	Traffic   muster.Traffic  `json:"traffic"`
}
