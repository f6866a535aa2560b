package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// manifest says what the files of a world hold. Findings that a set has and the one
// before had not are as many as those that it has lost.
type manifest struct {
	Rows    int64
	Bytes   int64 // of JSON in one set
	Packed  int64
	Changed [sets]int64
}

const (
	dirVariable    = "MUSTER_BENCH_DIR"
	paramsVariable = "MUSTER_BENCH_PARAMS"
)

// prepare makes the files of a world below cache, unless they are there.
func prepare(tb testing.TB, p params, cache string) manifest {
	tb.Helper()
	dir := filepath.Join(cache, p.key())
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if os.IsNotExist(err) {
		fmt.Fprintln(tb.Output(), "making the files, once:", p.key())
		// Not in this process: a child's peak memory counts from that of its parent.
		child(tb, "make", p, dir)
		text, err = os.ReadFile(filepath.Join(dir, "manifest.json"))
	}
	if err != nil {
		tb.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		tb.Fatal(err)
	}
	return m
}

func fileName(set, part int) string {
	return filepath.Join(strconv.Itoa(set), fmt.Sprintf("part-%02d.json.gz", part))
}

func roleParams() (p params, dir string, err error) {
	err = json.Unmarshal([]byte(os.Getenv(paramsVariable)), &p)
	return p, os.Getenv(dirVariable), err
}

// makeFiles is the role that writes all sets; the manifest comes last.
func makeFiles() error {
	p, dir, err := roleParams()
	if err != nil {
		return err
	}
	w := newWorld(p)
	rows := w.shuffled()
	m := manifest{Rows: int64(len(rows))}
	for set := range sets {
		if err := os.MkdirAll(filepath.Join(dir, strconv.Itoa(set)), 0o750); err != nil {
			return err
		}
		bytes, packed, err := w.writeSet(dir, set, rows)
		if err != nil {
			return err
		}
		if set == base {
			m.Bytes, m.Packed = bytes, packed
			continue
		}
		for _, r := range rows {
			if w.changed(set, r) && !w.changed(set-1, r) {
				m.Changed[set]++
			}
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "manifest.json"), text, 0o600)
}

// writeSet writes one set's files, two at a time.
func (w *world) writeSet(dir string, set int, rows []row) (bytes, packed int64, err error) {
	var mu sync.Mutex
	var group sync.WaitGroup
	parts := make(chan int)
	for range 2 {
		group.Go(func() {
			for part := range parts {
				b, z, failed := w.writeFile(filepath.Join(dir, fileName(set, part)), set, rows[len(rows)*part/w.Files:len(rows)*(part+1)/w.Files])
				mu.Lock()
				bytes, packed = bytes+b, packed+z
				if failed != nil {
					err = failed
				}
				mu.Unlock()
			}
		})
	}
	for part := range w.Files {
		parts <- part
	}
	close(parts)
	group.Wait()
	return bytes, packed, err
}

func (w *world) writeFile(path string, set int, rows []row) (bytes, packed int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	z, err := gzip.NewWriterLevel(out, 6)
	if err != nil {
		return 0, 0, err
	}
	var line []byte
	for _, r := range rows {
		line = w.appendRow(line[:0], set, r)
		bytes += int64(len(line))
		if _, err := z.Write(line); err != nil {
			return 0, 0, err
		}
	}
	if err := z.Close(); err != nil {
		return 0, 0, err
	}
	if err := out.Flush(); err != nil {
		return 0, 0, err
	}
	packed, err = f.Seek(0, 1)
	return bytes, packed, err
}
