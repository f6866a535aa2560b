package muster_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var markdownLink = regexp.MustCompile(`\]\(([^)#\s]+)`)

// TestLinksLeadSomewhere follows every link from one page to another file of the project.
func TestLinksLeadSomewhere(t *testing.T) {
	followed := 0
	eachFile(t, ".md", func(file string) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range markdownLink.FindAllStringSubmatch(string(text), -1) {
			target := link[1]
			if strings.Contains(target, ":") {
				continue // to another site
			}
			followed++
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), target)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", file, target)
			}
		}
	})
	if followed == 0 {
		t.Error("no link was found") // a walk that finds nothing proves nothing
	}
}
