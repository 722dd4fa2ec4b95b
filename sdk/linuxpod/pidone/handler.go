package pidone

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/confine"
)

// handler is the app with the handler's command: as root of the app, under the app's own confinement.
func (a *app) handler(h poddir.EventHandler) *confine.Settings {
	s := *a.set
	s.Command, s.AsRoot = h.Exec, true
	return &s
}

// before runs the pre-start handlers one after the other. The first that fails fails the app: reason says
// why, code is the app's exit status.
func (a *app) before() (reason string, code int) {
	for _, h := range a.Handlers {
		if h.Name != "pre-start" {
			continue
		}
		res, err := a.spawn(a.handler(h))
		if err != nil {
			code = confine.CannotExecute
			if failed := (*confine.ExecError)(nil); errors.As(err, &failed) {
				code = failed.Code
			}
			return "its pre-start handler cannot be run: " + err.Error(), code
		}
		unix.Close(res.Pidfd)
		var ws unix.WaitStatus
		for {
			if _, err = unix.Wait4(res.Pid, &ws, 0, nil); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if err != nil {
			return "wait for its pre-start handler: " + err.Error(), confine.CannotExecute
		}
		if ws != 0 {
			return "its pre-start handler " + ending(ws), status(ws)
		}
	}
	return "", 0
}

// status is what a shell would show.
func status(ws unix.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

func ending(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return "was ended by " + unix.SignalName(ws.Signal())
	}
	return fmt.Sprintf("exited with status %d", ws.ExitStatus())
}
