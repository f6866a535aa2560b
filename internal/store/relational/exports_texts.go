package relational

import (
	"context"
	"database/sql"

	"muster/internal/store"
)

// byID reads values of the rows with the given ids; scan reads the columns after the id.
func byID[V any](ctx context.Context, s *Store, ids []int64, query string, targets func(*V) []any) (map[int64]V, error) {
	found := make(map[int64]V, len(ids))
	err := s.view(ctx, func(tx *Tx) error {
		return inIDs(tx.engine, ids, func(condition string, args []any) error {
			return each(ctx, tx, func(rows *sql.Rows) error {
				var id int64
				var v V
				err := rows.Scan(append([]any{&id}, targets(&v)...)...)
				found[id] = v
				return err
			}, query+condition, args...)
		})
	})
	return found, err
}

// ExposuresOf implements store.Exports.
func (s *Store) ExposuresOf(ctx context.Context, ids []int64) (map[int64]store.Exposure, error) {
	return byID(ctx, s, ids, `SELECT e.id, s.vendor, s.name, s.version, COALESCE(c.cve, '')
		FROM exposure e JOIN software s ON s.id = e.software_id LEFT JOIN cve c ON c.id = e.cve_id WHERE e.id `,
		func(e *store.Exposure) []any { return []any{&e.Vendor, &e.Name, &e.Version, &e.CVE} })
}

// SoftwareOf implements store.Exports.
func (s *Store) SoftwareOf(ctx context.Context, ids []int64) (map[int64]store.SoftwareKey, error) {
	return byID(ctx, s, ids, `SELECT id, vendor, name, version FROM software WHERE id `,
		func(k *store.SoftwareKey) []any { return []any{&k.Vendor, &k.Name, &k.Version} })
}

// ConfigurationsOf implements store.Exports.
func (s *Store) ConfigurationsOf(ctx context.Context, ids []int64) (map[int64]string, error) {
	return byID(ctx, s, ids, `SELECT id, configuration_id FROM configuration WHERE id `,
		func(name *string) []any { return []any{name} })
}
