package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// ExitCannotStart is the exit status of a pod that could not be made; rkt's own errors have it too.
const ExitCannotStart = 254

// Run supervises the pod of this process to its end. It does not return when `rkt finish` takes over; else
// it returns the status to exit with.
func Run(f Flavor) int {
	p, err := take()
	if err != nil {
		fmt.Fprintf(os.Stderr, "rkt: supervise pod: %v\n", err)
		return ExitCannotStart
	}
	s := &supervisor{
		pod:    p,
		flavor: f,
		apps:   map[string]*app{},
		report: &Reporter{events: make(chan event), done: make(chan struct{}), flavor: f},
	}
	read := make(chan error, 1)
	// A Flavor may take its thread into other namespaces. That must not be the thread that stands for the whole
	// process in /proc, so this goroutine, which has it since main, keeps it until the other has its own.
	runtime.LockOSThread()
	go s.start(read)
	runtime.Gosched() // Birth first: what it starts takes longest
	runtime.UnlockOSThread()
	s.report.watchSignals()
	err = p.read()
	read <- err
	if err == nil {
		s.prepare()
	}
	exit := s.loop()
	close(s.report.done)
	return p.finish(exit.Code)
}

// start runs the Flavor's side. read says whether the pod's documents could be read, beside Birth.
func (s *supervisor) start(read <-chan error) {
	var err error
	if e, ok := s.flavor.(Early); ok {
		err = e.Birth(s.pod)
	}
	if rerr := <-read; rerr != nil {
		err = rerr
	}
	if err == nil {
		err = s.flavor.Start(s.pod, s.report)
	}
	s.report.send(event{kind: startReturned, err: err})
}

// prepare does what is to be done before the first event, while the Flavor starts.
func (s *supervisor) prepare() {
	for i := range s.pod.Apps {
		a := &s.pod.Apps[i]
		sig, err := ParseSignal(a.StopSignal)
		if err != nil {
			fmt.Fprintf(os.Stderr, "rkt: app %q: %v; SIGTERM is used\n", a.Name, err)
			sig = unix.SIGTERM
		}
		s.apps[a.Name] = &app{stopSignal: sig}
	}
	if err := s.pod.recordStart(); err != nil {
		fmt.Fprintf(os.Stderr, "rkt: record start of pod: %v\n", err)
	}
	if err := s.report.listen(); err != nil {
		// Without it the pod runs, and stop falls back to signals.
		fmt.Fprintf(os.Stderr, "rkt: listen for `rkt stop`: %v\n", err)
	}
	// The first use of a type is the slow one; this process waits now, and will not when an app ends.
	_, _ = json.Marshal(&poddir.AppStatus{})
	_, _ = json.Marshal(&poddir.PodExit{})
}

type app struct {
	stopSignal syscall.Signal
	state      poddir.AppState // empty: not started
	status     poddir.AppStatus
}

// supervisor is the state of Run. Only Run's goroutine touches it.
type supervisor struct {
	pod    *Pod
	flavor Flavor
	report *Reporter
	apps   map[string]*app

	started   bool // every app has been reported
	stopping  bool // everything has been told to end
	requested bool // by a person, not by a failed app
	failed    bool // code and culprit are set
	code      int
	culprit   string
	deadline  *time.Timer
}

// loop takes one event after the other until nothing of the pod is left.
func (s *supervisor) loop() poddir.PodExit {
	var grace <-chan time.Time // nil until a stop began
	for !(s.started && s.running() == 0) {
		select {
		case e := <-s.report.events:
			if e.kind == startReturned && e.err != nil {
				fmt.Fprintf(os.Stderr, "rkt: start pod: %v\n", e.err)
				s.fail("", ExitCannotStart)
				return s.end()
			}
			s.handle(e)
		case <-grace:
			return s.end()
		}
		if s.stopping && s.deadline == nil {
			return s.end() // at once
		}
		if s.stopping {
			grace = s.deadline.C
		}
	}
	return s.end()
}

func (s *supervisor) handle(e event) {
	switch e.kind {
	case podUp, startReturned:
		if !s.started {
			s.started = true
			s.ready()
		}
	case appStarted:
		a := s.apps[e.app]
		a.state = poddir.AppRunning
		a.status = poddir.AppStatus{Schema: poddir.Schema, State: a.state, Pid: e.pid, Started: time.Now()}
		s.write(e.app, a)
		if s.stopping {
			s.signal(e.app, a.stopSignal)
		}
	case appExited:
		s.exited(e.app, e.exit)
	case stopAsked:
		s.requestStop(e)
	case signalled:
		switch e.sig {
		case unix.SIGTERM, unix.SIGINT:
			s.requestStop(event{})
		default:
			for name, a := range s.apps {
				if a.state == poddir.AppRunning {
					s.signal(name, e.sig)
				}
			}
		}
	}
}

// ready is reached once: every app has been executed or has failed to be.
func (s *supervisor) ready() {
	if s.stopping {
		return
	}
	if err := poddir.WriteFile(".", poddir.ReadyFile, nil); err != nil {
		fmt.Fprintf(os.Stderr, "rkt: mark pod ready: %v\n", err)
	}
	s.pod.Notify("READY=1\nSTATUS=" + fmt.Sprintf("running %d apps", s.running()))
	TrimLater()
}

// exited records an app's end and draws the conclusion for the pod: it stops as soon as one app fails, and
// lives until the last one ends when all succeed.
func (s *supervisor) exited(name string, e Exit) {
	a := s.apps[name]
	if a.state == poddir.AppExited {
		return
	}
	a.state = poddir.AppExited
	a.status.Schema, a.status.State, a.status.Pid = poddir.Schema, poddir.AppExited, 0
	a.status.Finished, a.status.Code, a.status.OOM, a.status.Reason = time.Now(), e.Status(), e.OOM, e.Reason
	if e.Signal != 0 {
		a.status.Signal = unix.SignalName(e.Signal)
	}
	s.write(name, a)
	if e.Reason != "" {
		fmt.Fprintf(os.Stderr, "rkt: app %q: %s\n", name, e.Reason)
	}
	if e.Status() == 0 || s.stopping && s.obeyed(a, e) {
		return
	}
	s.fail(name, e.Status())
	if !s.stopping {
		s.stop(s.pod.Runtime.GraceSeconds)
	}
}

// obeyed says that an app ended because it was asked to: by its stop signal, or with the status that shells
// and many runtimes make of it.
func (s *supervisor) obeyed(a *app, e Exit) bool {
	return e.Status() == 128+int(a.stopSignal)
}

// fail notes the pod's exit status. The first failure is the one that counts.
func (s *supervisor) fail(name string, code int) {
	if s.failed {
		return
	}
	s.failed, s.culprit, s.code = true, name, code
}

func (s *supervisor) requestStop(e event) {
	if s.stopping && !e.force {
		return
	}
	s.requested = s.requested || !s.stopping
	if e.force {
		s.stopping = true
		s.deadline = nil
		return
	}
	grace := e.grace
	if grace == 0 {
		grace = s.pod.Runtime.GraceSeconds
	}
	s.stop(grace)
}

// stop tells every running app to end. What still runs after the grace time is killed. A pod that has no
// running app yet is being made, and is given up at once.
func (s *supervisor) stop(grace int) {
	s.stopping = true
	s.pod.Notify("STOPPING=1\nSTATUS=stopping")
	if grace <= 0 || s.requested && s.running() == 0 && !s.started {
		return
	}
	s.deadline = time.NewTimer(time.Duration(grace) * time.Second)
	for name, a := range s.apps {
		if a.state == poddir.AppRunning {
			s.signal(name, a.stopSignal)
		}
	}
}

// end kills what is left and says how the pod ended.
func (s *supervisor) end() poddir.PodExit {
	if !s.stopping {
		s.pod.Notify("STOPPING=1")
	}
	killed := make(chan error)
	go func() { killed <- s.flavor.Kill() }()
	early := s.started && s.running() == 0
	if early {
		s.writeExit() // beside the end of what the apps left behind
	}
	if err := os.Remove(poddir.ControlSock); err != nil && !errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "rkt: %v\n", err)
	}
	// What the flavor has still to say is listened to: it may not be able to end before it has said it.
	for done := false; !done; {
		select {
		case e := <-s.report.events:
			if e.kind == appExited {
				s.stopping = true
				s.exited(e.app, e.exit)
			}
		case err := <-killed:
			if err != nil {
				fmt.Fprintf(os.Stderr, "rkt: kill pod: %v\n", err)
			}
			done = true
		}
	}
	for i := range s.pod.Apps {
		name := s.pod.Apps[i].Name
		if a := s.apps[name]; a != nil && a.state == poddir.AppRunning {
			s.stopping = true
			s.exited(name, Exit{Signal: unix.SIGKILL})
		}
	}
	if !early {
		s.writeExit()
	}
	return s.exit()
}

func (s *supervisor) exit() poddir.PodExit {
	return poddir.PodExit{Schema: poddir.Schema, Code: s.code, App: s.culprit, Stopped: s.requested, Finished: time.Now()}
}

func (s *supervisor) writeExit() {
	if err := poddir.WriteJSON(".", poddir.ExitFile, s.exit()); err != nil {
		fmt.Fprintf(os.Stderr, "rkt: record exit status of pod: %v\n", err)
	}
}

func (s *supervisor) running() int {
	n := 0
	for _, a := range s.apps {
		if a.state == poddir.AppRunning {
			n++
		}
	}
	return n
}

func (s *supervisor) signal(name string, sig syscall.Signal) {
	if err := s.flavor.Signal(name, sig); err != nil {
		fmt.Fprintf(os.Stderr, "rkt: send %v to app %q: %v\n", sig, name, err)
	}
}

func (s *supervisor) write(name string, a *app) {
	if err := poddir.WriteJSON(poddir.StatusDir, name, &a.status); err != nil {
		fmt.Fprintf(os.Stderr, "rkt: record status of app %q: %v\n", name, err)
	}
}
