package muster_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers says which of our packages a package may import. A new package gets a line here
// first; docs/architecture.md explains the directions.
var layers = map[string][]string{
	"muster":                            {},
	"muster/internal/wire":              {"muster"},
	"muster/internal/defender":          {},
	"muster/internal/defender/emulator": {}, // its truth would prove nothing if it came from what it is to judge
	"muster/internal/mapping":           {"muster", "muster/internal/wire"},
	"muster/internal/gather":            {"muster", "muster/internal/defender", "muster/internal/wire"},
	"muster/internal/worker":            {"muster", "muster/internal/defender", "muster/internal/gather", "muster/internal/wire"},
	"muster/internal/store":             {"muster", "muster/internal/wire"},
	"muster/internal/store/relational":  {"muster", "muster/internal/store", "muster/internal/wire"},
	"muster/internal/store/sqlite":      {"muster", "muster/internal/store", "muster/internal/store/relational"},
	"muster/internal/store/postgres":    {"muster", "muster/internal/store", "muster/internal/store/relational"},
	"muster/internal/store/storetest":   {"muster", "muster/internal/store", "muster/internal/wire"},
	"muster/internal/ingest":            {"muster", "muster/internal/mapping", "muster/internal/store", "muster/internal/wire"},
	"muster/internal/control":           {"muster", "muster/internal/store", "muster/internal/wire", "muster/internal/worker"},
	"muster/internal/export":            {"muster", "muster/internal/mapping", "muster/internal/store"},
	"muster/internal/verify":            {"muster", "muster/internal/ingest", "muster/internal/store"},
	"muster/cmd/muster":                 {"muster/internal/cli"},

	"muster/internal/store/postgres/pgtest": {},
}

// wiring may import anything but cmd.
var wiring = []string{"muster/internal/cli"}

// bare packages use the standard library alone, but for what is listed.
var bare = map[string][]string{
	"muster":                            {},
	"muster/internal/wire":              {},
	"muster/internal/store":             {},
	"muster/internal/defender/emulator": {"github.com/klauspost/compress"},
}

// TestImportsPointDownwards reads the import lists of every file that goes into the
// program; tests may reach for whatever is real.
func TestImportsPointDownwards(t *testing.T) {
	seen := map[string]bool{}
	eachFile(t, ".go", func(file string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		pkg := path.Join("muster", path.Dir(file))
		seen[pkg] = true
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			checkImport(t, file, pkg, imported)
		}
	})
	for pkg := range seen {
		if layers[pkg] == nil && !slices.Contains(wiring, pkg) {
			t.Errorf("%s has no line in layers: say there what it may import", pkg)
		}
	}
	for _, pkg := range []string{"muster", "muster/internal/defender", "muster/internal/ingest"} {
		if !seen[pkg] {
			t.Errorf("%s was not looked at", pkg) // a walk that finds nothing proves nothing
		}
	}
}

func checkImport(t *testing.T, file, pkg, imported string) {
	t.Helper()
	ours := imported == "muster" || strings.HasPrefix(imported, "muster/")
	allowed, layered := layers[pkg]
	switch {
	case ours && slices.Contains(wiring, pkg):
		if strings.HasPrefix(imported, "muster/cmd/") {
			t.Errorf("%s imports %s", file, imported)
		}
	case ours && layered && !slices.Contains(allowed, imported):
		t.Errorf("%s: %s must not know %s", file, pkg, imported)
	case !ours && strings.Contains(imported, "."):
		only, limited := bare[pkg]
		if limited && !slices.ContainsFunc(only, func(module string) bool { return imported == module || strings.HasPrefix(imported, module+"/") }) {
			t.Errorf("%s: %s uses the standard library alone, not %s", file, pkg, imported)
		}
	}
}

// eachFile visits the project's own files with a suffix; paths have forward slashes.
func eachFile(t *testing.T, suffix string, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && name != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(file, suffix) {
			visit(filepath.ToSlash(file))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
