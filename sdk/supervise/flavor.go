package supervise

import (
	"fmt"
	"syscall"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// Flavor brings apps to life. Start runs in a goroutine of its own; Signal and Kill are called by Run's.
type Flavor interface {
	// Start starts every app of the pod in order and reports each. Then it calls r.Up and may stay, as the
	// thread on which the pod hangs, or simply returns. An error instead means that the pod could not be
	// made; Kill is called then too.
	Start(p *Pod, r *Reporter) error
	// Signal asks the main process of a running app. An app that has just ended is no error.
	Signal(app string, sig syscall.Signal) error
	// Kill ends at once whatever of the pod still exists, and returns when it is gone. It is called exactly
	// once, also while Start runs, and after it nothing is reported any more.
	Kill() error
}

// Early is a Flavor that has something to do before the pod's documents are read, such as starting a process
// that takes its time: both then go on side by side. Birth runs in Start's goroutine, before Start; of the Pod
// it may only call Netns. Its error ends the start as Start's does.
type Early interface {
	Flavor
	Birth(p *Pod) error
}

// Updater is a Flavor that changes limits of running apps when the supervisor is asked to, where nobody else could
// reach them. Update changes all that are asked for, zero leaving one as it is, or none. It is called by any
// goroutine, for as long as the pod lives. What it cannot do is a Refusal.
type Updater interface {
	Flavor
	Update(app string, r poddir.Resources) error
}

// Refusal is an error that says whose fault it is.
type Refusal struct {
	Kind poddir.ControlError
	Text string
}

func (r *Refusal) Error() string { return r.Text }

// Refuse makes a Refusal.
func Refuse(kind poddir.ControlError, format string, args ...any) error {
	return &Refusal{kind, fmt.Sprintf(format, args...)}
}

// Exit is how an app ended.
type Exit struct {
	Code   int            // the exit status; ignored when Signal is set
	Signal syscall.Signal // ended by this signal
	OOM    bool           // by the kernel, at its memory limit
	Reason string         // it never ran: why it could not be executed
}

// ExitOf is the end of a process that was waited for.
func ExitOf(ws syscall.WaitStatus) Exit {
	if ws.Signaled() {
		return Exit{Signal: ws.Signal()}
	}
	return Exit{Code: ws.ExitStatus()}
}

// Status is what a shell would show: 128 and the signal, or the exit status.
func (e Exit) Status() int {
	if e.Signal != 0 {
		return 128 + int(e.Signal)
	}
	return e.Code
}

// Reporter carries a Flavor's news to Run. Its methods may be called from any goroutine, in the order in
// which things happen to an app: Started, then Exited; or Exited alone, with a Reason.
type Reporter struct {
	events chan event
	done   chan struct{} // closed when Run listens no more
	flavor Flavor
}

type eventKind int

const (
	appStarted eventKind = iota
	appExited
	startReturned
	podUp
	stopAsked
	signalled
)

// event is one thing that Run's goroutine has to decide about.
type event struct {
	kind  eventKind
	app   string
	pid   int
	exit  Exit
	err   error
	sig   syscall.Signal
	force bool
	grace int // seconds; 0: the pod's own
}

func (r *Reporter) send(e event) {
	select {
	case r.events <- e:
	case <-r.done:
	}
}

// Started says that the app's program has been executed, with its pid on the host.
func (r *Reporter) Started(app string, pid int) {
	r.send(event{kind: appStarted, app: app, pid: pid})
}

// Up says that every app has been reported as started or exited.
func (r *Reporter) Up() { r.send(event{kind: podUp}) }

// Exited says that the app's main process has ended, or could not be executed.
func (r *Reporter) Exited(app string, e Exit) { r.send(event{kind: appExited, app: app, exit: e}) }
