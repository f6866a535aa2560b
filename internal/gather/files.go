package gather

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"muster/internal/defender"
)

// readers is how many files of an export are read at once. Each holds one batch, so more
// of them cost memory, and the sink takes one batch at a time anyway.
const readers = 2

// listing is an export's files; a newer list with the same files takes its place when
// their links have expired.
type listing struct {
	source source
	mu     sync.Mutex
	export defender.Export
}

// exportFile is one file to be read: its place in a listing.
type exportFile struct {
	*listing
	at int
}

// unfinished lists the files of some exports but those that an earlier lease has finished.
func unfinished(lists []*listing, finished []string) []exportFile {
	var files []exportFile
	for _, l := range lists {
		for at, f := range l.export.Files {
			if !slices.Contains(finished, f.Name) {
				files = append(files, exportFile{l, at})
			}
		}
	}
	return files
}

// files reads some files at a time. What befell single ones is listed in their order; an
// error of our own side ends it, as ctx does.
func (r *Run) files(ctx context.Context, files []exportFile) (failures []error, err error) {
	held, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	failures = make([]error, len(files))
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(readers, len(files)) {
		group.Go(func() {
			for held.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(files) {
					return
				}
				failures[i] = r.file(held, files[i])
				if ours := (sinkError{}); errors.As(failures[i], &ours) {
					stop(ours)
				}
			}
		})
	}
	group.Wait()
	if held.Err() != nil {
		return nil, context.Cause(held)
	}
	return slices.DeleteFunc(failures, func(err error) bool { return err == nil }), nil
}

// file reads one file; an expired link is asked for again once.
func (r *Run) file(ctx context.Context, f exportFile) error {
	f.mu.Lock()
	used := f.export.Files[f.at]
	f.mu.Unlock()
	err := f.source.files(ctx, r, used)
	if !errors.Is(err, defender.ErrExpiredLink) {
		return err
	}
	if used, err = r.renew(ctx, f, used, err); err != nil {
		return err
	}
	return f.source.files(ctx, r, used)
}

// renew gives a file with a link that lives, as long as the source still has the same
// snapshot. One that another reader has asked for meanwhile will do.
func (r *Run) renew(ctx context.Context, f exportFile, used defender.File, expired error) (defender.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.export.Files[f.at]; now.URL != used.URL {
		return now, nil
	}
	again, err := r.Client.Export(ctx, f.source.kind)
	if err != nil {
		return used, err
	}
	if !again.GeneratedTime.Equal(f.export.GeneratedTime) || len(again.Files) != len(f.export.Files) || again.Files[f.at].Name != used.Name {
		return used, fmt.Errorf("the source has built a newer snapshot meanwhile: %w", expired)
	}
	f.export = again
	return again.Files[f.at], nil
}
