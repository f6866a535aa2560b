package relational

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"muster"
)

// Connector implements store.Connectors.
func (s *Store) Connector(ctx context.Context, name string) (muster.Connector, error) {
	c, err := scanConnector(s.row(ctx, connectorByName, muster.NameKey(name)), name)
	return c, err
}

const connectorByName = `SELECT id, name, tenant_id, settings, settings_version FROM connector WHERE name_key = $1`

func scanConnector(row scanner, name string) (muster.Connector, error) {
	var c muster.Connector
	var settings string
	err := row.Scan(&c.ID, &c.Name, &c.Tenant, &settings, &c.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return c, fmt.Errorf("connector %q: %w", name, muster.ErrNotFound)
	}
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal([]byte(settings), &c.Settings)
}

// SaveConnector implements store.Connectors.
func (s *Store) SaveConnector(ctx context.Context, name string, settings muster.Settings, now time.Time) (c muster.Connector, err error) {
	document, err := json.Marshal(settings)
	if err != nil {
		return c, err
	}
	err = s.update(ctx, func(tx *Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO connector (name, name_key, settings, settings_version, created_at) VALUES ($1, $2, $3, 1, $4)
			ON CONFLICT (name_key) DO UPDATE SET settings = excluded.settings, settings_version = connector.settings_version + 1
			WHERE connector.settings <> excluded.settings`, strings.TrimSpace(name), muster.NameKey(name), string(document), now.UnixMicro())
		if err != nil {
			return err
		}
		c, err = scanConnector(tx.QueryRowContext(ctx, connectorByName, muster.NameKey(name)), name)
		return err
	})
	return c, err
}

// FixTenant implements store.Connectors.
func (s *Store) FixTenant(ctx context.Context, connector int64, tenant string) error {
	return s.update(ctx, func(tx *Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE connector SET tenant_id = $2 WHERE id = $1 AND tenant_id IN ('', $2)`, connector, tenant))
		if err != nil || n > 0 {
			return err
		}
		var bound string
		err = tx.QueryRowContext(ctx, `SELECT tenant_id FROM connector WHERE id = $1`, connector).Scan(&bound)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("connector %d: %w", connector, muster.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return fmt.Errorf("connector %d belongs to tenant %s: %w", connector, bound, muster.ErrConflict)
	})
}
