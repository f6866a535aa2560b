package muster_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"strings"
	"testing"
)

// TestPackageComments finds exactly one comment for every package, of its own words.
func TestPackageComments(t *testing.T) {
	comments := map[string][]string{} // by folder
	words := map[string]string{}
	eachSource(t, parser.ParseComments|parser.PackageClauseOnly, func(file string, parsed *ast.File) {
		dir := path.Dir(file)
		comments[dir] = append(comments[dir], nil...)
		if parsed.Doc == nil {
			return
		}
		text := parsed.Doc.Text()
		comments[dir] = append(comments[dir], text)
		if other, taken := words[text]; taken {
			t.Errorf("%s and %s have one comment", other, file)
		}
		words[text] = file
		if name := parsed.Name.Name; name != "main" && !strings.HasPrefix(text, "Package "+name+" ") {
			t.Errorf("%s: the comment does not begin with its package's name", file)
		}
	})
	for dir, all := range comments {
		if len(all) != 1 {
			t.Errorf("%s has %d package comments", dir, len(all))
		}
	}
}

// TestNobodyAsksTheClock lets only cmd call time.Now and its kin; all others are handed
// a clock.
func TestNobodyAsksTheClock(t *testing.T) {
	asked := map[string]bool{"Now": true, "Since": true, "Until": true, "Sleep": true}
	eachSource(t, parser.SkipObjectResolution, func(file string, parsed *ast.File) {
		if strings.HasPrefix(file, "cmd/") {
			return
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			if s, ok := node.(*ast.SelectorExpr); ok && asked[s.Sel.Name] {
				if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == "time" {
					t.Errorf("%s uses time.%s", file, s.Sel.Name)
				}
			}
			return true
		})
	})
}

// eachSource parses every Go file that goes into the program.
func eachSource(t *testing.T, mode parser.Mode, visit func(file string, parsed *ast.File)) {
	t.Helper()
	seen := 0
	eachFile(t, ".go", func(file string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, mode)
		if err != nil {
			t.Fatal(err)
		}
		seen++
		visit(file, parsed)
	})
	if seen == 0 {
		t.Fatal("no source was found") // a walk that finds nothing proves nothing
	}
}
