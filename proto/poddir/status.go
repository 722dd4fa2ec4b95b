package poddir

import "time"

// AppStatus is status/NAME, written by the supervisor: once with State "running" when the app's program has
// been executed, and once more when it has ended.
type AppStatus struct {
	Schema   int       `json:"schema"`
	State    AppState  `json:"state"`
	Pid      int       `json:"pid,omitempty"` // on the host, while running; a hint for people, never signalled
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	// Code is what a shell would show: the exit status, 128+n when ended by signal n, 127 when the program
	// was not found and 126 when it could not be executed.
	Code   int    `json:"code"`
	Signal string `json:"signal,omitempty"`
	OOM    bool   `json:"oom,omitempty"`    // the kernel killed it at its memory limit
	Reason string `json:"reason,omitempty"` // why it could not be executed
}

// AppState is the life of an app.
type AppState string

// The states.
const (
	AppRunning AppState = "running"
	AppExited  AppState = "exited"
)

// PodExit is the file exit, the supervisor's last word.
type PodExit struct {
	Schema   int       `json:"schema"`
	Code     int       `json:"code"`          // the pod's exit status: the first failing app's, else 0
	App      string    `json:"app,omitempty"` // the app it comes from
	Stopped  bool      `json:"stopped,omitempty"`
	Finished time.Time `json:"finished"`
}

// PinnedPlugin is an entry of plugins.json.
type PinnedPlugin struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Digest   string `json:"digest"` // names the directory below pins/
	Protocol int    `json:"protocol"`
}

// Plugins is plugins.json: kind ("stage1", "network") -> pinned plugin.
type Plugins struct {
	Schema  int                     `json:"schema"`
	Plugins map[string]PinnedPlugin `json:"plugins"`
}
