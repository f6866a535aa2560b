package sqlite_test

import (
	"path/filepath"
	"testing"

	"muster/internal/store/relational"
	"muster/internal/store/sqlite"
	"muster/internal/store/storetest"
)

// open gives the database in a file, closed at the end of the test.
func open(t *testing.T, path string) *relational.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store {
		t.Helper()
		return open(t, filepath.Join(t.TempDir(), "muster.db"))
	})
}
