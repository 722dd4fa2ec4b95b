package pod

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/internal/linux"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// Info is what list and status show of a pod. A file that is missing, because the pod is too young or never
// ran, leaves its part empty; one that cannot be read is in Err.
type Info struct {
	UUID    string
	State   State
	Path    string
	Pod     poddir.Pod
	Runtime *poddir.Runtime
	Apps    map[string]poddir.AppStatus
	Pid     int       // of the supervisor, while running
	Started time.Time // zero when never
	Exit    *poddir.PodExit
	Ready   bool
	Marked  time.Time // when it entered a garbage section
	Err     error
}

// List returns all pods, youngest first. A pod that goes away meanwhile is left out; a broken one carries its Err.
func (p *Pods) List() ([]Info, error) {
	type place struct {
		s  Section
		id string
	}
	var places []place
	seen := map[string]bool{}
	for _, s := range sections() {
		ids, err := p.in(s)
		if err != nil {
			return nil, fmt.Errorf("list pods: %w", err)
		}
		for _, id := range ids {
			if !seen[id] { // else it moved on between the two sections' readdir
				seen[id] = true
				places = append(places, place{s, id})
			}
		}
	}
	// Reading a pod is a dozen system calls and some JSON: hundreds of pods are worth every CPU.
	infos := make([]*Info, len(places))
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(places)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(places); i = next.Add(1) - 1 {
				infos[i] = p.listed(places[i].s, places[i].id)
			}
		})
	}
	wg.Wait()
	var out []Info
	for _, i := range infos {
		if i != nil {
			out = append(out, *i)
		}
	}
	slices.SortFunc(out, func(a, b Info) int {
		if c := b.Pod.Created.Compare(a.Pod.Created); c != 0 {
			return c
		}
		return strings.Compare(a.UUID, b.UUID)
	})
	return out, nil
}

// listed reads one pod where it was seen, or where it is now; nil when it has gone.
func (p *Pods) listed(s Section, id string) *Info {
	info, err := p.infoIn(s, id)
	if errors.Is(err, fs.ErrNotExist) {
		info, err = p.Info(id)
	}
	if errors.As(err, new(*NotFoundError)) {
		return nil
	}
	if err != nil { // to be seen all the same, and to be removed
		info = &Info{UUID: id, State: state(s, false), Path: p.Dir(s, id), Err: err}
	}
	return info
}

// Info reads one pod by its whole UUID.
func (p *Pods) Info(id string) (*Info, error) {
	for range 5 {
		f, s, err := p.locate(id)
		if err != nil {
			return nil, err
		}
		f.Close()
		info, err := p.infoIn(s, id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return info, err
	}
	return nil, &NotFoundError{Prefix: id}
}

func (p *Pods) infoIn(s Section, id string) (*Info, error) {
	f, err := openDir(p.Dir(s, id))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	locked := false
	if s != Embryo { // its maker is about to lock it, and would take the probe for another's lock
		if locked, err = probe(f); err != nil {
			return nil, err
		}
	}
	info := &Info{UUID: id, State: state(s, locked), Path: f.Name()}
	if s == ExitedGarbage || s == Garbage {
		info.Marked = changed(f)
	}
	info.Err = info.read(s)
	if !linux.SameFile(f, f.Name()) { // moved while we read: what was read may be of two states
		return nil, &fs.PathError{Op: "read", Path: f.Name(), Err: fs.ErrNotExist}
	}
	return info, nil
}

func (i *Info) read(s Section) error {
	if s == Embryo {
		return nil
	}
	if err := optional(poddir.ReadJSON(i.Path, poddir.PodFile, &i.Pod)); err != nil {
		return err
	}
	if s != Run && s != ExitedGarbage {
		return nil
	}
	if err := poddir.ReadLimits(i.Path, &i.Pod); err != nil {
		return err
	}
	var rt poddir.Runtime
	err := poddir.ReadJSON(i.Path, poddir.RuntimeFile, &rt)
	if err == nil {
		i.Runtime = &rt
	} else if optional(err) != nil {
		return err
	}
	if i.Apps, err = poddir.ReadStatus(i.Path); optional(err) != nil {
		return err
	}
	if st, err := os.Stat(i.Path + "/" + poddir.PidFile); err == nil {
		i.Started = st.ModTime()
	}
	_, err = os.Lstat(i.Path + "/" + poddir.ReadyFile)
	i.Ready = err == nil
	if i.State == StateRunning {
		i.Pid, err = poddir.ReadPid(i.Path)
		return optional(err)
	}
	var exit poddir.PodExit
	err = poddir.ReadJSON(i.Path, poddir.ExitFile, &exit)
	if err == nil {
		i.Exit = &exit
	}
	return optional(err)
}

// optional turns the absence of a file into nil.
func optional(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// probe says whether somebody holds the exclusive lock.
func probe(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("probe lock of %s: %w", f.Name(), err)
	}
	return false, unix.Flock(int(f.Fd()), unix.LOCK_UN)
}

// changed is the directory's change time: a rename sets it, so in a garbage section it is the time of marking.
func changed(f *os.File) time.Time {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return time.Time{}
	}
	return time.Unix(st.Ctim.Unix())
}

// Wait returns when nobody holds the pod's lock, or when ctx ends. The wait is the kernel's (a blocking flock),
// so it costs nothing and misses nothing; the goroutine of a cancelled wait ends with the process.
func (p *Pods) Wait(ctx context.Context, id string) error {
	f, _, err := p.locate(id)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		err := linux.Retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_SH) })
		f.Close() // before the caller goes on: it may want the exclusive lock
		done <- os.NewSyscallError("flock", err)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
