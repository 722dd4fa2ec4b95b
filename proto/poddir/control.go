package poddir

// The supervisor's control socket is the Unix stream socket "ctl" in the pod directory, mode 0600, peers
// checked by SO_PEERCRED (root, or the pod's own user). One JSON request per line, one JSON reply per line.
//
//	client                                 supervisor
//	  {"op":"stop","graceSeconds":5}  ─────────▶
//	  ◀───────── {"ok":true}                        the request is noted; the lock's release is the end
//	  {"op":"update","app":"a","resources":{"memoryBytes":134217728}}  ─────────▶
//	  ◀───────── {"ok":true}                        they are in force
//
// Further operations come with further capabilities; an unknown one is answered {"ok":false,"error":"..."}
// (S1-LIFE-16).

// ControlRequest is one line to the supervisor.
type ControlRequest struct {
	Op           string `json:"op"` // "stop", "update"
	App          string `json:"app,omitempty"`
	Force        bool   `json:"force,omitempty"`
	GraceSeconds int    `json:"graceSeconds,omitempty"` // 0: the pod's own
	// Resources are an app's new limits; zero leaves one as it is.
	Resources *Resources `json:"resources,omitempty"`
}

// ControlReply is one line back.
type ControlReply struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	// Kind says whose fault an Error is, where it is known.
	Kind ControlError `json:"kind,omitempty"`
}

// ControlError is why a supervisor does not do what it is asked.
type ControlError string

// The kinds.
const (
	ControlRefused ControlError = "refused" // this pod cannot be what was asked for
	ControlBusy    ControlError = "busy"    // it cannot now
)
