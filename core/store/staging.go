package store

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/internal/linux"
)

// Staging is a directory for a fetcher to write an OCI image layout into.
type Staging struct {
	dir  string
	lock *os.File // the directory itself
}

// NewStaging makes a staging directory, locked as long as it is open. A key (the reference that is fetched)
// gives the next run of the same reference what a killed one left, so that downloads resume; when another
// process is at work on the key, and with an empty key, the directory is a new one.
func (s *Store) NewStaging(key string) (*Staging, error) {
	release, err := s.Hold() // gc must not see a directory between its making and its locking
	if err != nil {
		return nil, err
	}
	defer release()
	random := strings.ToLower(rand.Text()[:16])
	names := []string{random}
	if key != "" {
		names = []string{fmt.Sprintf("ref-%x", sha256.Sum256([]byte(key)))[:36], random}
	}
	for _, name := range names {
		st, err := openStaging(filepath.Join(s.staging, name))
		if errors.Is(err, linux.ErrLocked) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("make staging directory: %w", err)
		}
		return st, nil
	}
	return nil, fmt.Errorf("make staging directory: %w", linux.ErrLocked)
}

func openStaging(dir string) (*Staging, error) {
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	lock, err := linux.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	st := &Staging{dir: dir, lock: lock}
	err = linux.TryLock(lock)
	if err == nil && !linux.SameFile(lock, dir) {
		err = linux.ErrLocked // its last owner has just removed it
	}
	if err == nil {
		err = lock.Chmod(0o711)
	}
	if err == nil {
		if err = os.Mkdir(st.LayoutDir(), 0o700); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	return st, nil
}

// Dir is the staging directory itself, core's own.
func (st *Staging) Dir() string { return st.dir }

// LayoutDir is the directory for the fetcher: absolute, mode 0700.
func (st *Staging) LayoutDir() string { return filepath.Join(st.dir, "layout") }

// NewLayout makes a further, empty layout directory beside the first, for Convert.
func (st *Staging) NewLayout(name string) (string, error) {
	if name == "layout" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("make layout directory: bad name %q", name)
	}
	path := filepath.Join(st.dir, name)
	if err := linux.RemoveAll(path); err != nil {
		return "", fmt.Errorf("make layout directory: %w", err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", fmt.Errorf("make layout directory: %w", err)
	}
	return path, nil
}

// Chown gives the layout directory to the user that the fetcher runs as. What a former attempt of another user
// left in it is removed.
func (st *Staging) Chown(uid, gid int) error {
	return st.ChownLayout(filepath.Base(st.LayoutDir()), uid, gid)
}

// ChownLayout is Chown for a directory that NewLayout made.
func (st *Staging) ChownLayout(name string, uid, gid int) error {
	if err := st.chown(name, uid, gid); err != nil {
		return fmt.Errorf("hand staging directory to user %d: %w", uid, err)
	}
	return nil
}

func (st *Staging) chown(name string, uid, gid int) error {
	path := filepath.Join(st.dir, name)
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if sys, ok := fi.Sys().(*syscall.Stat_t); ok && fi.IsDir() && int(sys.Uid) == uid && int(sys.Gid) == gid {
		return nil
	}
	if err := linux.RemoveAll(path); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	d, err := os.OpenFile(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Chown(uid, gid)
}

// Close removes the directory and ends the lock.
func (st *Staging) Close() error {
	defer st.lock.Close()
	if err := linux.RemoveAll(st.dir); err != nil {
		return fmt.Errorf("remove staging directory: %w", err)
	}
	return nil
}

// Keep ends the lock and leaves the content for the next attempt, until gc takes it.
func (st *Staging) Keep() { st.lock.Close() }
