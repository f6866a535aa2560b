package postgres

import (
	"database/sql"
	"errors"
	"testing"

	"muster"
)

// TestOldServer asks what no test can run: servers that are too old.
func TestOldServer(t *testing.T) {
	schema := sql.NullString{String: "public", Valid: true}
	for version, refused := range map[int]bool{90624: true, 140022: true, 150000: false, 180004: false} {
		err := (&engine{}).suits(version, "UTF8", schema)
		var e *muster.Error
		if errors.As(err, &e) != refused || refused && (e.Code != "invalid_db" || e.Advice == "") {
			t.Errorf("version %d: %v", version, err)
		}
	}
}
