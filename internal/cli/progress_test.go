package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/vbauerster/mpb/v8"
	"go.uber.org/goleak"
)

func TestProgressIsSilentInAFile(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "stderr")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := NewProgress(f)
	p.Update("machines", 100)
	p.Done("machines", "complete")
	fmt.Fprintln(p, "a log line")
	p.Stop()
	p.Stop()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != "a log line\n" {
		t.Errorf("got %q, want the log line alone", got)
	}
}

// terminal is what a screen of 80 columns would have been sent.
type terminal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *terminal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

var escape = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

// last is the text of the last drawing, line by line.
func (s *terminal) last(lines int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Split(strings.TrimSuffix(escape.ReplaceAllString(s.b.String(), ""), "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}

func TestProgressOnATerminal(t *testing.T) {
	defer goleak.VerifyNone(t)
	var s terminal
	redraw := make(chan any)
	p := newProgress(&s, mpb.WithWidth(80), mpb.WithManualRefresh(redraw))
	p.Update("machines", 1000)
	redraw <- nil
	p.Update("machines", 12_345)
	p.Done("machines", "complete")
	p.Done("machines", "twice")
	p.Update("machines", 1)
	p.Update("vulnerabilities", 1_234_567)
	fmt.Fprintln(p, "a log line")
	redraw <- nil
	redraw <- nil
	p.Stop()
	p.Update("software", 1)
	if _, err := io.WriteString(p, ""); err != nil {
		t.Error(err)
	}
	got := s.last(2)
	want := []*regexp.Regexp{
		regexp.MustCompile(`^• +machines +12,345 rows +complete$`),
		regexp.MustCompile(`^• +vulnerabilities +1,234,567 rows +stopped$`),
	}
	for i, w := range want {
		if i >= len(got) || !w.MatchString(got[i]) {
			t.Errorf("line %d: got %q, want %s", i, got, w)
		}
	}
	if n := strings.Count(s.b.String(), "a log line\n"); n != 1 {
		t.Errorf("the log line appears %d times, want once", n)
	}
	if strings.Contains(s.b.String(), "software") {
		t.Error("shows a dataset after it was stopped")
	}
}

// TestProgressKeepsLastWords: what is logged after the last drawing is not lost.
func TestProgressKeepsLastWords(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, datasets := range [][]string{nil, {"machines"}} {
		var s terminal
		p := newProgress(&s, mpb.WithAutoRefresh(), mpb.WithWidth(80))
		for _, d := range datasets {
			p.Update(d, 1)
			p.Done(d, "complete")
		}
		fmt.Fprintln(p, "last words")
		p.Stop()
		p.Stop()
		fmt.Fprintln(p, "afterwards")
		if sent := s.b.String(); len(datasets) > 0 && escape.MatchString(sent[strings.LastIndex(sent, "complete"):]) {
			t.Errorf("the last drawing is taken back: %q", sent)
		}
		if got := s.last(1); strings.Count(s.b.String(), "last words\n") != 1 || got[0] != "afterwards" {
			t.Errorf("with datasets %v: got %q", datasets, s.b.String())
		}
	}
}

func TestProgressConcurrently(t *testing.T) {
	defer goleak.VerifyNone(t)
	var s terminal
	p := newProgress(&s, mpb.WithAutoRefresh(), mpb.WithWidth(80))
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			name := fmt.Sprint("dataset ", i)
			for n := range int64(1000) {
				p.Update(name, n)
				if n%100 == 0 {
					fmt.Fprintf(p, "%s %d\n", name, n)
				}
			}
			p.Done(name, "complete")
		})
	}
	all.Wait()
	p.Stop()
	text := escape.ReplaceAllString(s.b.String(), "")
	for i := range 4 {
		if !regexp.MustCompile(fmt.Sprintf("dataset %d +999 rows +complete", i)).MatchString(text) {
			t.Errorf("the end of dataset %d is not shown", i)
		}
		for n := 0; n < 1000; n += 100 {
			if got := strings.Count(text, fmt.Sprintf("dataset %d %d\n", i, n)); got != 1 {
				t.Errorf("log line %d of dataset %d appears %d times, want once", n, i, got)
			}
		}
	}
}
