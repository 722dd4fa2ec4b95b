package agent

import (
	"encoding/json"
	"time"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// Protocol is the version of everything in this package.
const Protocol = 1

// PortName is the name of the virtio-serial port that carries the channel.
const PortName = "rkt.ctl"

// The operations.
const (
	OpHello    = "hello"
	OpStart    = "start"
	OpSignal   = "signal"
	OpKill     = "kill"
	OpResize   = "resize"
	OpEnter    = "enter"
	OpStats    = "stats"
	OpUpdate   = "update"
	OpSetTime  = "set-time"
	OpPowerOff = "power-off"
)

// Hello is said by both ends.
type Hello struct {
	Protocol int    `json:"protocol"`
	Build    string `json:"build,omitempty"`  // of the guest program
	Kernel   string `json:"kernel,omitempty"` // uname -r of the guest
	// Ops are the operations that the guest knows.
	Ops []string `json:"ops,omitempty"`
}

// Target is what a signal or a size is for: an app, or a process made by Enter.
type Target struct {
	App     string `json:"app,omitempty"`
	Process uint64 `json:"process,omitempty"`
}

// EnterSpec is a command to run in a running app.
type EnterSpec struct {
	App     string   `json:"app"`
	Command []string `json:"command,omitempty"` // empty: a shell of the image
	TTY     bool     `json:"tty,omitempty"`
	Term    string   `json:"term,omitempty"`
	Size    Size     `json:"size,omitzero"`
}

// AppStats is what an app uses now.
type AppStats struct {
	App            string `json:"app"`
	MemoryBytes    uint64 `json:"memoryBytes"`
	CPUNanoseconds uint64 `json:"cpuNanoseconds"`
	Pids           uint64 `json:"pids"`
}

// EventKind is what an event is about.
type EventKind string

// The kinds. A host ignores those that it does not know.
const (
	EventStarted EventKind = "started" // App, Pid
	EventExited  EventKind = "exited"  // App or Process, Code or Signal, OOM, Reason
	EventUp      EventKind = "up"      // every app has been reported
	EventWarning EventKind = "warning" // Text, for the user
	EventFailed  EventKind = "failed"  // Text: the pod could not be made; kill it
)

// Event is news from the guest. What it says is the guest's word: text for people, never a path or a size.
type Event struct {
	Kind    EventKind `json:"event"`
	App     string    `json:"app,omitempty"`
	Process uint64    `json:"process,omitempty"` // of Enter
	Pid     int       `json:"pid,omitempty"`     // in the guest
	Code    int       `json:"code,omitempty"`
	Signal  int       `json:"signal,omitempty"` // ended by it; Code counts for nothing then
	OOM     bool      `json:"oom,omitempty"`    // by the guest's kernel, at the app's memory limit
	Reason  string    `json:"reason,omitempty"` // it could not be executed
	Text    string    `json:"text,omitempty"`
}

// FD is one of the three streams of a program.
type FD string

// The streams.
const (
	Stdin  FD = "stdin"
	Stdout FD = "stdout"
	Stderr FD = "stderr"
)

// Header is the first line of every stream.
type Header struct {
	Kind StreamKind `json:"kind"`
	Target
	FD FD `json:"fd,omitempty"`
}

// StreamKind is what a stream is for.
type StreamKind string

// The kinds.
const (
	StreamControl StreamKind = "control"
	StreamApp     StreamKind = "app"   // Target.App
	StreamEnter   StreamKind = "enter" // Target.Process
)

// request is a line to the guest.
type request struct {
	ID   uint64          `json:"id"`
	Op   string          `json:"op"`
	Body json.RawMessage `json:"body,omitempty"`
}

// line is a line from the guest: a reply, or an event.
type line struct {
	ID    uint64          `json:"id,omitempty"`
	Error *Error          `json:"error,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`
	Event
}

// reply is a line as the guest writes it.
type reply struct {
	ID    uint64 `json:"id"`
	Error *Error `json:"error,omitempty"`
	Body  any    `json:"body,omitempty"`
}

type signalBody struct {
	Target
	Signal int `json:"signal"`
}

type resizeBody struct {
	Target
	Size
}

type updateBody struct {
	App       string           `json:"app"`
	Resources poddir.Resources `json:"resources"`
}

type timeBody struct {
	Time time.Time `json:"time"`
}

type powerOffBody struct {
	Reboot bool `json:"reboot,omitempty"`
}

type enterReply struct {
	Process uint64 `json:"process"`
}

type statsReply struct {
	Apps []AppStats `json:"apps"`
}
