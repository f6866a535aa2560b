package cli

import (
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/vbauerster/cupwriter"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// Progress shows on a terminal how far each dataset is, one line for each in the order in
// which they begin. Anywhere else it writes nothing. It is safe for concurrent use.
type Progress struct {
	out    io.Writer
	bars   *mpb.Progress // nil = silent
	screen *screen

	mu    sync.Mutex
	lines map[string]*line
	ended bool
}

type line struct {
	bar *mpb.Bar
	// note says how it ended; nil before. The drawing reads it while a caller may hold the lock.
	note atomic.Pointer[string]
}

// screen remembers the text that waits for the next drawing: after the last one there is none.
type screen struct {
	*cupwriter.Writer
	pending []byte
}

func (s *screen) Write(text []byte) (int, error) {
	s.pending = append(s.pending, text...)
	return s.Writer.Write(text)
}

func (s *screen) Flush(lines int) error {
	s.pending = s.pending[:0]
	return s.Writer.Flush(lines)
}

// NewProgress shows progress on f, which is standard error as a rule.
func NewProgress(f *os.File) *Progress {
	if !Terminal(f) {
		return &Progress{out: f}
	}
	return newProgress(f)
}

func newProgress(w io.Writer, options ...mpb.ContainerOption) *Progress {
	s := &screen{Writer: cupwriter.New(w, true)}
	bars := mpb.New(append(options, mpb.WithConsoleWriter(s))...)
	return &Progress{out: w, bars: bars, screen: s, lines: map[string]*line{}}
}

// Update says how many rows of a dataset have been dealt with. It begins the dataset's
// line if there is none; a number smaller than before means that it starts over.
func (p *Progress) Update(dataset string, rows int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.line(dataset); l != nil && l.note.Load() == nil {
		l.bar.SetCurrent(rows)
	}
}

// Done ends a dataset's line with a note: "complete", "partial", "skipped: no licence".
func (p *Progress) Done(dataset, note string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.line(dataset); l != nil && l.note.CompareAndSwap(nil, &note) {
		l.bar.Abort(false) // it has no total to reach, so ending is all there is
	}
}

// Stop ends all lines and gives the terminal back. Nothing is shown afterwards.
func (p *Progress) Stop() {
	if p.bars == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.ended = true
	for _, l := range p.lines {
		l.bar.Abort(false)
	}
	p.bars.Wait()
	_, _ = p.out.Write(p.screen.pending)
}

// Write lets log lines appear above the lines of progress instead of through them.
func (p *Progress) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars == nil || p.ended {
		return p.out.Write(text)
	}
	return p.bars.Write(text)
}

// line finds or begins a line; nil = nothing is shown. The caller holds the lock.
func (p *Progress) line(dataset string) *line {
	if p.bars == nil || p.ended {
		return nil
	}
	l := p.lines[dataset]
	if l == nil {
		l = &line{}
		p.lines[dataset] = l
		l.bar = p.bars.New(0, mpb.NopStyle(),
			mpb.PrependDecorators(
				decor.OnAbort(decor.Spinner(nil, decor.WCSyncSpaceR), "•"),
				decor.Name(dataset, decor.WCSyncSpaceR),
				decor.Any(func(s decor.Statistics) string { return number(s.Current) + " rows" }, decor.WCSyncSpace),
			),
			mpb.AppendDecorators(decor.Any(l.state)),
		)
	}
	return l
}

func (l *line) state(s decor.Statistics) string {
	if note := l.note.Load(); note != nil {
		return *note
	}
	if s.Aborted {
		return "stopped"
	}
	return ""
}
