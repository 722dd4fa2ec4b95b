package vmguest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod"
	"github.com/rkt/rkt/v2/sdk/linuxpod/host"
	"github.com/rkt/rkt/v2/sdk/supervise"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// Start makes the guest the pod's, and the pod.
func (g *guest) Start(ctx context.Context, spec *agent.PodSpec, r *agent.Reporter) error {
	g.mu.Lock()
	if g.spec != nil || g.killed {
		g.mu.Unlock()
		return agent.Refuse(agent.CodeState, "pod has been started before, or killed")
	}
	g.spec = spec
	for i := range spec.Pod.Apps {
		name := spec.Pod.Apps[i].Name
		g.apps[name] = newStdio(&g.hub, agent.Target{App: name})
	}
	g.mu.Unlock()
	if err := g.prepare(spec); err != nil {
		return err
	}
	files, streams, err := g.appStreams(spec)
	defer func() {
		for _, fd := range files {
			unix.Close(fd)
		}
	}()
	if err != nil {
		return err
	}
	if err := g.podDir(ctx, spec, streams); err != nil {
		return err
	}
	return g.birth(spec, files, r)
}

// prepare does everything outside of the pod directory.
func (g *guest) prepare(spec *agent.PodSpec) error {
	if spec.Debug {
		complain("start pod %s: %d apps, %d layers, %d volumes, %d interfaces", spec.Pod.UUID,
			len(spec.Pod.Apps), len(spec.Layers), len(spec.Volumes), len(spec.Interfaces))
	}
	g.storage.plan(spec)
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"take the host's random bytes", func() error { return addEntropy(spec.Seed) }},
		{"limit open files", func() error { return limitFiles(spec.NoFile) }},
		{"set sysctls", func() error { return setSysctls(spec.Sysctls) }},
		{"mount the pod's disk", func() error { return g.storage.makePodDir(spec.Upper) }},
		{"mount layers", func() error { return g.storage.layers(spec) }},
		{"mount volumes", func() error { return g.storage.volumes(spec) }},
		{"set network", func() error { return setNetwork(spec.Interfaces) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// limitFiles has apps start with the limit that they would have on the host.
func limitFiles(l *agent.Limit) error {
	if l == nil {
		return nil
	}
	// By package syscall: then a child gets this limit, not the one that this process started with.
	return syscall.Setrlimit(unix.RLIMIT_NOFILE, &syscall.Rlimit{Cur: l.Soft, Max: l.Hard})
}

// appStreams makes the apps' pipes. files are the apps' ends, in the order in which PID 1 gets them.
func (g *guest) appStreams(spec *agent.PodSpec) (files []int, streams map[string]linuxpod.Streams, err error) {
	streams = map[string]linuxpod.Streams{}
	for i := range spec.Pod.Apps {
		app := &spec.Pod.Apps[i]
		how, s := spec.Streams[app.Name], linuxpod.Streams{}
		s.Rows, s.Cols = how.Size.Rows, how.Size.Cols
		add := func(fd agent.FD) (int, error) {
			theirs, err := g.apps[app.Name].pipe(fd)
			if err != nil {
				return 0, fmt.Errorf("make %s of app %q: %w", fd, app.Name, err)
			}
			files = append(files, theirs)
			return host.FirstExtra + len(files) - 1, nil
		}
		if app.Stdin != poddir.StdinTTY {
			if app.Stdin == poddir.StdinStream {
				if s.Stdin, err = add(agent.Stdin); err != nil {
					return files, nil, err
				}
			}
			if s.Stdout, err = add(agent.Stdout); err != nil {
				return files, nil, err
			}
			if s.Stderr = s.Stdout; !how.Merge {
				if s.Stderr, err = add(agent.Stderr); err != nil {
					return files, nil, err
				}
			}
		}
		streams[app.Name] = s
	}
	return files, streams, nil
}

// podDir makes the pod directory that linuxpod runs on and `enter` looks at, and goes there.
func (g *guest) podDir(ctx context.Context, spec *agent.PodSpec, streams map[string]linuxpod.Streams) error {
	if err := unix.Chdir(podDir); err != nil {
		return err
	}
	// What an earlier start of the same pod left on the disk would be read as this one's.
	for _, dir := range []string{poddir.StatusDir, poddir.EtcDir, poddir.Stage1Dir} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	for name, b := range spec.Etc {
		if err := os.WriteFile(filepath.Join(poddir.EtcDir, name), b, 0o644); err != nil {
			return err
		}
	}
	cgroup, err := makePodCgroup()
	if err != nil {
		return fmt.Errorf("make the pod's cgroup: %w", err)
	}
	rt := &poddir.Runtime{Schema: poddir.Schema, Cgroup: cgroup, Remove: spec.Volatile, Debug: spec.Debug}
	spec.Pod.Schema = poddir.Schema
	if err := poddir.WriteJSON(".", poddir.PodFile, &spec.Pod); err != nil {
		return err
	}
	if err := poddir.WriteJSON(".", poddir.RuntimeFile, rt); err != nil {
		return err
	}
	if err := poddir.WriteFile(".", poddir.PidFile, []byte(strconv.Itoa(os.Getpid())+"\n")); err != nil {
		return err
	}
	lock, err := hold(podDir)
	if err != nil {
		return fmt.Errorf("lock pod directory: %w", err)
	}
	g.mu.Lock()
	g.lock = lock
	g.mu.Unlock()
	return linuxpod.Prepare(ctx, linuxpod.Options{PodDir: podDir, Pod: &spec.Pod, Runtime: rt, Streams: streams, Debug: spec.Debug})
}

// hold takes the pod directory's lock, which says that the pod runs.
func hold(dir string) (int, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return fd, unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
}

// birth starts PID 1 of the pod. The goroutine that does stays with it.
func (g *guest) birth(spec *agent.PodSpec, files []int, r *agent.Reporter) error {
	born := make(chan error)
	go func() {
		defer close(g.ended)
		g.mu.Lock()
		var err error
		if g.killed {
			err = agent.Refuse(agent.CodeState, "pod has been killed before it started")
		} else {
			err = g.children.start(func() (pid int, err error) {
				if g.pod, err = host.Birth(-1, files...); err == nil {
					pid = g.pod.Pid()
				}
				return pid, err
			}, func(unix.WaitStatus) {})
		}
		pod := g.pod
		g.mu.Unlock()
		born <- err
		if err != nil {
			return
		}
		if err := pod.Listen(&observer{guest: g, report: r}); err != nil {
			r.Report(agent.Event{Kind: agent.EventFailed, Text: err.Error()})
		}
	}()
	return <-born
}

// observer tells the host what happens in the pod.
type observer struct {
	guest  *guest
	report *agent.Reporter
}

var _ host.Observer = (*observer)(nil)

func (o *observer) Warning(text string) {
	o.report.Report(agent.Event{Kind: agent.EventWarning, Text: text})
}

func (o *observer) Terminal(app string, master int) {
	if err := o.guest.apps[app].terminal(master); err != nil {
		o.Warning(fmt.Sprintf("terminal of app %q: %v", app, err))
	}
}

func (o *observer) Started(app string, pid int) {
	o.status(app, &poddir.AppStatus{Schema: poddir.Schema, State: poddir.AppRunning, Pid: pid})
	o.report.Report(agent.Event{Kind: agent.EventStarted, App: app, Pid: pid})
}

func (o *observer) Exited(app string, e supervise.Exit) {
	o.status(app, &poddir.AppStatus{Schema: poddir.Schema, State: poddir.AppExited, Code: e.Code})
	o.report.Report(agent.Event{
		Kind: agent.EventExited, App: app, Code: e.Code, Signal: int(e.Signal), OOM: e.OOM, Reason: e.Reason,
	})
}

func (o *observer) Up() {
	o.report.Report(agent.Event{Kind: agent.EventUp})
	supervise.TrimLater()
}

// status is for enter, which finds the app's process by it.
func (o *observer) status(app string, s *poddir.AppStatus) {
	if err := poddir.WriteJSON(poddir.StatusDir, app, s); err != nil {
		o.Warning(fmt.Sprintf("status of app %q: %v", app, err))
	}
}
