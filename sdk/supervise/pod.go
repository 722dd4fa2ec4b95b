package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// Pod is the pod of this process. The working directory is the pod directory, reached by the lock's
// descriptor, so that relative names stay right wherever core moves the directory to.
type Pod struct {
	*poddir.Pod
	Runtime *poddir.Runtime

	fds    launch.FDs
	notify string
}

// Open takes over the pod: the descriptors that core donated, whose lock must really be held, and what is to
// run. Run does it for a Flavor.
func Open() (*Pod, error) {
	p, err := take()
	if err != nil {
		return nil, err
	}
	return p, p.read()
}

// take takes over the descriptors and enters the pod directory.
func take() (*Pod, error) {
	fds, err := launch.Take()
	if err != nil {
		return nil, err
	}
	lock, ok := fds[launch.FDLock]
	if !ok {
		return nil, fmt.Errorf("%s names no descriptor %q: a supervisor is started by `rkt run`, not by hand", launch.EnvFDs, launch.FDLock)
	}
	if err := unix.Fchdir(lock); err != nil {
		return nil, fmt.Errorf("enter pod directory by descriptor %d: %w", lock, err)
	}
	// The lock belongs to the open file description, so this succeeds exactly when it is ours (or free).
	if err := unix.Flock(lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("pod directory is locked by another process: %w", err)
	}
	p := &Pod{Pod: new(poddir.Pod), Runtime: new(poddir.Runtime), fds: fds, notify: os.Getenv("NOTIFY_SOCKET")}
	if err := os.Unsetenv("NOTIFY_SOCKET"); err != nil {
		return nil, err
	}
	return p, nil
}

// read reads the pod's documents.
func (p *Pod) read() error {
	if err := poddir.ReadJSON(".", poddir.PodFile, p.Pod); err != nil {
		return err
	}
	if err := poddir.ReadJSON(".", poddir.RuntimeFile, p.Runtime); err != nil {
		return err
	}
	if p.Schema != poddir.Schema || p.Runtime.Schema != poddir.Schema {
		return fmt.Errorf("pod directory has schema %d/%d, this supervisor reads %d", p.Schema, p.Runtime.Schema, poddir.Schema)
	}
	return nil
}

// recordStart writes the pid file and makes room for the apps' status. It happens beside the start of the
// first app, which takes longer.
func (p *Pod) recordStart() error {
	// What an earlier start of the same pod has left would be read as this one's.
	for _, name := range []string{poddir.ReadyFile, poddir.ExitFile} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	err := os.Mkdir(poddir.StatusDir, 0o750)
	if errors.Is(err, os.ErrExist) {
		for i := range p.Apps {
			if err := os.Remove(filepath.Join(poddir.StatusDir, p.Apps[i].Name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		err = nil
	}
	if err != nil {
		return err
	}
	return poddir.WriteFile(".", poddir.PidFile, []byte(strconv.Itoa(os.Getpid())+"\n"))
}

// Netns returns the descriptor of the pod's network namespace; false means the host's own.
func (p *Pod) Netns() (int, bool) {
	fd, ok := p.fds[launch.FDNetns]
	return fd, ok
}

// App returns the app of that name, or nil.
func (p *Pod) App(name string) *poddir.App {
	for i := range p.Apps {
		if p.Apps[i].Name == name {
			return &p.Apps[i]
		}
	}
	return nil
}

// finish becomes `rkt finish`, which keeps the lock until the network is taken down, or returns the exit
// code when that program is gone (the package was removed while the pod ran).
func (p *Pod) finish(code int) int {
	argv := p.Runtime.Finish
	if len(argv) == 0 {
		return code
	}
	var names []string
	for _, name := range []string{launch.FDLock, launch.FDNetns} {
		fd, ok := p.fds[name]
		if !ok {
			continue
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err == nil {
			names = append(names, name)
		}
	}
	env := append(os.Environ(), launch.EnvFDs+"="+launch.Format(names, p.fds))
	err := syscall.Exec(argv[0], argv, env)
	fmt.Fprintf(os.Stderr, "rkt: run %s: %v; its network is taken down by the next `rkt gc`\n", argv[0], err)
	return code
}
