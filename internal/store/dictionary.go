package store

import (
	"context"
	"errors"
)

// ErrDamaged is a stored piece whose checksum does not match.
var ErrDamaged = errors.New("stored data is damaged")

// SoftwareKey is a software version as the source spells it; absent parts are "".
type SoftwareKey struct{ Vendor, Name, Version string }

// ExposureKey is a software version and a CVE; CVE 0 is the software itself.
type ExposureKey struct{ Software, CVE int64 }

// Evidence is where something was found, addressed by a keyed hash of the paths.
type Evidence struct {
	Hash                     [16]byte
	DiskPaths, RegistryPaths string // JSON arrays, sorted
}

// Facts is an attribute document addressed by its hash.
type Facts struct {
	Hash     [16]byte
	Document []byte
}

// Dictionary turns texts into ids: each call is one transaction that adds what is new
// and gives the ids in the order asked for. Nothing is removed from it while runs live.
type Dictionary interface {
	TenantID(ctx context.Context, tenant string) (int64, error)
	MachineIDs(ctx context.Context, tenant int64, ids []string) ([]int64, error)
	SoftwareIDs(ctx context.Context, keys []SoftwareKey) ([]int64, error)
	CVEIDs(ctx context.Context, cves []string) ([]int64, error)
	ExposureIDs(ctx context.Context, keys []ExposureKey) ([]int64, error)
	ConfigurationIDs(ctx context.Context, ids []string) ([]int64, error)
	FactsIDs(ctx context.Context, facts []Facts) ([]int64, error)
	SaveEvidence(ctx context.Context, e []Evidence) error
	// EvidenceOf reads paths back, in any order.
	EvidenceOf(ctx context.Context, hashes [][16]byte) (map[[16]byte]Evidence, error)
	// FactsOf reads documents back by id.
	FactsOf(ctx context.Context, ids []int64) (map[int64][]byte, error)
	// MetCVEs are all CVEs that any row has named.
	MetCVEs(ctx context.Context) (map[string]int64, error)
	// ExposureSoftware calls back for every exposure above the given id.
	ExposureSoftware(ctx context.Context, above int64, each func(exposure int64, k ExposureKey)) error
	// HashKey is this database's own 32-byte key for evidence.
	HashKey(ctx context.Context) ([]byte, error)
}
