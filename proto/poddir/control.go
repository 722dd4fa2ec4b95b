package poddir

// The supervisor's control socket is the Unix stream socket "ctl" in the pod directory, mode 0600, peers
// checked by SO_PEERCRED (root, or the pod's own user). One JSON request per line, one JSON reply per line.
//
//	client                                 supervisor
//	  {"op":"stop","graceSeconds":5}  ─────────▶
//	  ◀───────── {"ok":true}                        the request is noted; the lock's release is the end
//
// Further operations come with further capabilities; an unknown one is answered {"ok":false,"error":"..."}
// (S1-LIFE-16).

// ControlRequest is one line to the supervisor.
type ControlRequest struct {
	Op           string `json:"op"` // "stop"
	App          string `json:"app,omitempty"`
	Force        bool   `json:"force,omitempty"`
	GraceSeconds int    `json:"graceSeconds,omitempty"` // 0: the pod's own
}

// ControlReply is one line back.
type ControlReply struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}
