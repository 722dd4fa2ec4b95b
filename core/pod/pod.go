package pod

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/internal/linux"
	"github.com/rkt/rkt/v2/proto/poddir"
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
	if !linux.SameFile(f, path) {
		f.Close()
		return nil, &fs.PathError{Op: "lock", Path: path, Err: fs.ErrNotExist}
	}
	return &Pod{UUID: id, pods: p, dir: f, section: s}, nil
}

// Path is where the pod's directory is now.
func (p *Pod) Path() string { return p.pods.Dir(p.section, p.UUID) }

// Section is where the pod is now.
func (p *Pod) Section() Section { return p.section }

// LockFile is the descriptor that holds the lock; it is also open on the pod directory.
func (p *Pod) LockFile() *os.File { return p.dir }

// MoveTo renames the pod into another section. The rename is not made durable: a pod that runs means nothing
// after a power loss, and one whose marking was lost is marked again. See Sync for the pod that waits.
func (p *Pod) MoveTo(s Section) error {
	if err := os.Rename(p.Path(), p.pods.Dir(s, p.UUID)); err != nil {
		return fmt.Errorf("move pod %s to %s: %w", p.UUID, s, err)
	}
	p.section = s
	return nil
}

// Sync makes the pod durable where it is now: its files, then their names, then its own. It is for a pod
// that a user is told to run later; syncing costs every other one more than its whole start.
func (p *Pod) Sync() error {
	entries, err := os.ReadDir(p.Path())
	if err != nil {
		return fmt.Errorf("sync pod %s: %w", p.UUID, err)
	}
	paths := []string{}
	for _, e := range entries {
		paths = append(paths, filepath.Join(p.Path(), e.Name()))
	}
	for _, path := range append(paths, p.Path(), filepath.Dir(p.Path())) {
		if err := syncPath(path); err != nil {
			return fmt.Errorf("sync pod %s: %w", p.UUID, err)
		}
	}
	return nil
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Close releases the lock.
func (p *Pod) Close() error { return p.dir.Close() }

// Strip removes what only the apps needed, while what the pod holds elsewhere is still being given back. The pod is
// one that nobody will look at any more.
func (p *Pod) Strip() error {
	var errs []error
	for _, name := range []string{poddir.AppsDir, poddir.VolumesDir, poddir.StatusDir} {
		errs = append(errs, linux.RemoveAll(filepath.Join(p.Path(), name)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove pod %s: %w", p.UUID, err)
	}
	return nil
}

// Delete removes the pod for good. It must be in a garbage section, so that a deletion that is cut short is
// read as one and done again.
func (p *Pod) Delete() error {
	if p.section != ExitedGarbage && p.section != Garbage {
		return &StateError{UUID: p.UUID, Is: state(p.section, true), Want: "garbage"}
	}
	entries, err := os.ReadDir(p.Path())
	if err != nil {
		return fmt.Errorf("remove pod %s: %w", p.UUID, err)
	}
	// What a retry needs goes last: a deletion that is cut short can still tell what it was about, and which
	// cgroup the pod had. Of what cannot be removed the rest is not left behind.
	last := func(name string) bool { return name == poddir.PodFile || name == poddir.RuntimeFile }
	var errs []error
	for _, e := range entries {
		if !last(e.Name()) {
			errs = append(errs, linux.RemoveAll(filepath.Join(p.Path(), e.Name())))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove pod %s: %w", p.UUID, err)
	}
	if err := linux.RemoveAll(p.Path()); err != nil {
		return fmt.Errorf("remove pod %s: %w", p.UUID, err)
	}
	return nil
}

// Adopt takes over a lock that this process inherited on a pod in run/.
func (p *Pods) Adopt(f *os.File, id string) (*Pod, error) {
	if !uuidRE.MatchString(id) {
		return nil, fmt.Errorf("adopt pod: %q is no UUID", id)
	}
	if !linux.SameFile(f, p.Dir(Run, id)) {
		return nil, fmt.Errorf("adopt pod %s: the inherited descriptor is not its directory", id)
	}
	// The same open file description: this succeeds at once when we do hold the lock.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("adopt pod %s: %w", id, err)
	}
	return &Pod{UUID: id, pods: p, dir: f, section: Run}, nil
}
