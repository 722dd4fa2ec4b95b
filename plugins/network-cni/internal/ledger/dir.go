package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Dir is the shared directory, opened.
type Dir struct {
	root *os.Root
	path string
	boot string
}

// Open opens the shared directory, which core made, and makes what it needs inside.
func Open(dir string) (*Dir, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("read boot id: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the network plugin's directory: %w", err)
	}
	d := &Dir{root: root, path: dir, boot: strings.TrimSpace(string(boot))}
	for _, sub := range []string{"pods", "leases", "ports", "cni"} {
		if err := root.Mkdir(sub, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			root.Close()
			return nil, fmt.Errorf("make the network plugin's directory: %w", err)
		}
	}
	return d, nil
}

// Close lets go of the directory.
func (d *Dir) Close() error { return d.root.Close() }

// CacheDir is libcni's cache: one for all pods, because its garbage collection looks for dead ones in it.
func (d *Dir) CacheDir() string { return path.Join(d.path, "cni") }

// Lock takes the lock of the directory and returns what releases it. The kernel releases it when the process
// dies. Waiting ends with ctx.
func (d *Dir) Lock(ctx context.Context) (func(), error) {
	f, err := d.root.OpenFile("lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the network lock: %w", err)
	}
	// A blocking flock cannot be cancelled, so poll; holders keep it for fractions of a millisecond.
	for wait := 50 * time.Microsecond; ; wait = min(wait*2, 5*time.Millisecond) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("take the network lock: %w", err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("take the network lock, which another rkt holds: %w", ctx.Err())
		case <-time.After(wait):
		}
	}
}

// ReadJSON reads one of the small documents (subnets.json, host.json); a missing one leaves v alone.
func (d *Dir) ReadJSON(name string, v any) error {
	b, err := d.root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("read %s of the network plugin: %w", name, err)
	}
	return nil
}

// WriteJSON writes one of the small documents, durably. The caller holds the lock.
func (d *Dir) WriteJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		err = d.replace(name, append(b, '\n'), true)
	}
	if err != nil {
		return fmt.Errorf("write %s of the network plugin: %w", name, err)
	}
	return nil
}

func dirOf(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i+1]
	}
	return ""
}
