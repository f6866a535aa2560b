package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"muster"
)

// output writes to standard output, or to a file that appears whole or not at all.
func (a *App) output(path string, write func(io.Writer) error) (err error) {
	if path == "" || path == "-" {
		return flushed(a.Stdout, write)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".muster-*")
	if err != nil {
		return muster.Invalid("output", fmt.Sprintf("the file %s cannot be written", path), "Check the folder and its permissions.")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	if err = flushed(f, write); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func flushed(w io.Writer, write func(io.Writer) error) error {
	b := bufio.NewWriterSize(w, 64<<10)
	if err := write(b); err != nil {
		return err
	}
	return b.Flush()
}
