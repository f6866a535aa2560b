//go:build !unix

package bench

import "os"

// usage is not to be had from this system's process state.
func usage(*os.ProcessState) (rss, written int64) { return 0, 0 }
