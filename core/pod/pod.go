package pod

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Pod is a pod whose exclusive lock this process holds.
type Pod struct {
	UUID    string
	pods    *Pods
	dir     *os.File
	section Section
}

// Lock takes a pod's exclusive lock without waiting for a pod that runs: ErrLocked says that it does, or that
// another command works on it.
func (p *Pods) Lock(id string) (*Pod, error) {
	// list and status probe with a shared lock for microseconds; give those a moment before giving up.
	for attempt := 0; ; attempt++ {
		f, s, err := p.locate(id)
		if err != nil {
			return nil, err
		}
		f.Close()
		pod, err := p.lockIn(s, id)
		if err == nil {
			return pod, nil
		}
		moved := errors.Is(err, fs.ErrNotExist)
		if !moved && !errors.Is(err, ErrLocked) || attempt >= 20 {
			return nil, err
		}
		if !moved {
			time.Sleep(time.Millisecond)
		}
	}
}

// lockIn locks a pod in a section; fs.ErrNotExist says that it is not there (any more).
func (p *Pods) lockIn(s Section, id string) (*Pod, error) {
	path := p.Dir(s, id)
	f, err := openDir(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock pod %s: %w", id, err)
	}
	if !sameFile(f, path) {
		f.Close()
		return nil, &fs.PathError{Op: "lock", Path: path, Err: fs.ErrNotExist}
	}
	return &Pod{UUID: id, pods: p, dir: f, section: s}, nil
}

// sameFile says whether path is (still) the directory that f has open.
func sameFile(f *os.File, path string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(int(f.Fd()), &a) == nil && unix.Lstat(path, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

// Path is where the pod's directory is now.
func (p *Pod) Path() string { return p.pods.Dir(p.section, p.UUID) }

// Section is where the pod is now.
func (p *Pod) Section() Section { return p.section }

// LockFile is the descriptor that holds the lock; it is also open on the pod directory.
func (p *Pod) LockFile() *os.File { return p.dir }

// MoveTo renames the pod into another section. The rename is made durable, so that after a power loss no pod
// is in a state from before one that a user was told about.
func (p *Pod) MoveTo(s Section) error {
	to := p.pods.Dir(s, p.UUID)
	if err := os.Rename(p.Path(), to); err != nil {
		return fmt.Errorf("move pod %s to %s: %w", p.UUID, s, err)
	}
	p.section = s
	if s != Prepared {
		return nil // run and the garbages mean the same after a crash: the lock is free
	}
	return syncDir(filepath.Dir(to))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Close releases the lock.
func (p *Pod) Close() error { return p.dir.Close() }

// Delete removes the pod for good. It must be in a garbage section, so that a deletion that is cut short is
// read as one and done again.
func (p *Pod) Delete() error {
	if p.section != ExitedGarbage && p.section != Garbage {
		return &StateError{UUID: p.UUID, Is: state(p.section, true), Want: "garbage"}
	}
	// pod.json goes last: while it is there, a cut-short deletion still shows what it was about.
	entries, err := os.ReadDir(p.Path())
	if err != nil {
		return fmt.Errorf("remove pod %s: %w", p.UUID, err)
	}
	for _, e := range entries {
		if e.Name() == "pod.json" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(p.Path(), e.Name())); err != nil {
			return fmt.Errorf("remove pod %s: %w", p.UUID, err)
		}
	}
	if err := os.RemoveAll(p.Path()); err != nil {
		return fmt.Errorf("remove pod %s: %w", p.UUID, err)
	}
	return nil
}

// Adopt takes over a lock that this process inherited on a pod in run/.
func (p *Pods) Adopt(f *os.File, id string) (*Pod, error) {
	if !uuidRE.MatchString(id) {
		return nil, fmt.Errorf("adopt pod: %q is no UUID", id)
	}
	if !sameFile(f, p.Dir(Run, id)) {
		return nil, fmt.Errorf("adopt pod %s: the inherited descriptor is not its directory", id)
	}
	// The same open file description: this succeeds at once when we do hold the lock.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("adopt pod %s: %w", id, err)
	}
	return &Pod{UUID: id, pods: p, dir: f, section: Run}, nil
}
