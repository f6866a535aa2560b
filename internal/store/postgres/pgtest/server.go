//go:build unix

package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a running server. Its superuser is "postgres"; everybody comes in by a socket
// alone, trusted, but for the users named in Locked.
type Server struct {
	dir       string // sockets, data and the log
	bin       string
	attr      *syscall.SysProcAttr // nobody, where the test is root
	watch     *exec.Cmd
	leash     *os.File // the server ends when this is closed, by us or by the end of the process
	databases atomic.Int64
}

// Locked is a user who needs the password Password.
const (
	Locked   = "locked"
	Password = "correct horse"
)

var shared = sync.OnceValues(func() (*Server, error) { return start(context.Background()) })

// Shared is the server of this test process. It ends with the process.
func Shared(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatalf("PostgreSQL for the tests: %v", err)
	}
	return s
}

// Own is a server that the test may stop and start.
func Own(t testing.TB) *Server {
	t.Helper()
	s, err := start(t.Context())
	if err != nil {
		t.Fatalf("PostgreSQL for the tests: %v", err)
	}
	t.Cleanup(s.end)
	return s
}

// Database is a new, empty database of the shared server, dropped when the test ends.
func Database(t testing.TB) string {
	t.Helper()
	return Shared(t).Database(t)
}

// Database makes an empty database, dropped when the test ends, and gives its URL. Its
// collation is nobody's byte order, so that a query that leaves the order to it is found out.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	s.Exec(t, s.URL("postgres"), "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := s.exec(ctx, s.URL("postgres"), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return s.URL(name)
}

// URL names a database of the server.
func (s *Server) URL(database string) string { return s.UserURL("postgres", "", database) }

// UserURL names a database of the server and a user.
func (s *Server) UserURL(name, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(name), Path: "/" + database, RawQuery: url.Values{"host": {s.dir}}.Encode()}
	if password != "" {
		u.User = url.UserPassword(name, password)
	}
	return u.String()
}

// Exec runs statements in a database.
func (s *Server) Exec(t testing.TB, url string, statements ...string) {
	t.Helper()
	if err := s.exec(context.WithoutCancel(t.Context()), url, statements...); err != nil { // a cleanup may ask too
		t.Fatal(err)
	}
}

func (*Server) exec(ctx context.Context, url string, statements ...string) error {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	for _, statement := range statements {
		if _, err := c.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// start makes a server in a temporary folder.
func start(ctx context.Context) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	bin, err := binaries(ctx)
	if err != nil {
		return nil, err
	}
	// A socket's path has at most 107 bytes.
	dir, err := os.MkdirTemp("/tmp", "muster-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin}
	if err := s.make(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.Start(ctx); err != nil {
		s.end()
		return nil, err
	}
	return s, s.exec(ctx, s.URL("postgres"), "CREATE ROLE "+Locked+" LOGIN PASSWORD '"+Password+"'")
}

// make lays out the data. PostgreSQL does not run as root.
func (s *Server) make(ctx context.Context) error {
	if os.Geteuid() == 0 {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			return err
		}
		uid, err := strconv.Atoi(nobody.Uid)
		if err != nil {
			return err
		}
		gid, err := strconv.Atoi(nobody.Gid)
		if err != nil {
			return err
		}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return err
		}
		s.attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		if !reachable(s.bin) { // a checkout below a home folder
			if out, err := exec.CommandContext(ctx, "cp", "-R", filepath.Dir(s.bin), filepath.Join(s.dir, "server")).CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			s.bin = filepath.Join(s.dir, "server", "bin")
		}
	}
	initdb := s.command(ctx, filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	rules := "local all " + Locked + " scram-sha-256\n" +
		"local all " + "all trust\n" // any database, any user
	if err := os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte(rules), 0o600); err != nil {
		return err
	}
	// A test loses nothing when the machine does.
	settings := "listen_addresses = ''\nunix_socket_directories = '" + s.dir + "'\nfsync = off\nfull_page_writes = off\nsynchronous_commit = off\nmax_connections = 200\nshared_buffers = 64MB\nmax_wal_size = 2GB\ntimezone = 'Asia/Kathmandu'\nlog_timezone = 'UTC'\n"
	file, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(settings)
	return errors.Join(err, file.Close())
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.dir // the server may not be allowed into ours
	cmd.SysProcAttr = s.attr
	return cmd
}

// watcher runs the server until its standard input ends. The kernel closes that when the
// test process ends in whatever way, so that no server outlives its tests.
const watcher = `
"$1/postgres" -D "$2/data" >>"$2/log" 2>&1 </dev/null &
server=$!
trap : TERM INT HUP
cat >/dev/null
kill -INT $server 2>/dev/null
wait $server
[ "$(cat "$2/keep" 2>/dev/null)" = yes ] || rm -rf "$2"
`

// Start starts the server, and waits until it answers.
func (s *Server) Start(ctx context.Context) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	s.watch = s.command(context.WithoutCancel(ctx), "/bin/sh", "-c", watcher, "watcher", s.bin, s.dir)
	s.watch.Stdin = read
	if err := s.watch.Start(); err != nil {
		write.Close()
		return err
	}
	s.leash = write
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.exec(ctx, s.URL("postgres"), "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w: %s", err, s.log())
		case <-tick.C:
		}
	}
}

// Stop stops the server like a restart of its machine would: sessions are cut.
func (s *Server) Stop() error {
	keep := filepath.Join(s.dir, "keep")
	if err := os.WriteFile(keep, []byte("yes"), 0o644); err != nil {
		return err
	}
	s.leash.Close()
	return errors.Join(s.watch.Wait(), os.Remove(keep))
}

func (s *Server) end() {
	if s.leash != nil {
		s.leash.Close()
		_ = s.watch.Wait()
	}
	if err := os.RemoveAll(s.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		panic(err)
	}
}

// log is the end of what the server has said.
func (s *Server) log() []byte {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return bytes.TrimSpace(text[max(0, len(text)-2000):])
}
