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
	switch there, err := os.Stat(path); {
	case err != nil || there.Mode().IsRegular():
	case there.IsDir():
		return notWritable(path)
	default:
		return device(path, write)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".muster-*")
	if err != nil {
		return notWritable(path)
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

func notWritable(path string) error {
	return muster.Invalid("output", fmt.Sprintf("the file %s cannot be written", path), "Check the folder and its permissions.")
}

// device writes to a pipe or a terminal, which a file must not take the place of.
func device(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return notWritable(path)
	}
	return errors.Join(flushed(f, write), f.Close())
}

func flushed(w io.Writer, write func(io.Writer) error) error {
	b := bufio.NewWriterSize(w, 64<<10)
	if err := write(b); err != nil {
		return err
	}
	return b.Flush()
}
