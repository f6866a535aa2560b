//go:build unix

package bench

import (
	"os"
	"runtime"
	"syscall"
)

// usage gives the peak of a process's memory and the bytes it has written, blocks of 512
// (getrusage(2)).
func usage(s *os.ProcessState) (rss, written int64) {
	u, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, 0
	}
	if rss = u.Maxrss; runtime.GOOS != "darwin" {
		rss <<= 10
	}
	return rss, u.Oublock * 512
}
