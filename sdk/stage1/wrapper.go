package stage1

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/supervise"
)

// Wrapper is for a Supervisor to embed whose command is not the app but starts it, an init of its own say, and reports:
// it finds a socket at descriptor 3, which OpenReport takes; ExtraFiles of Command follow it.
//
// The app counts as started when the command has said so. Until then the pod is not ready, no signal is sent to the
// command, and nobody enters the app. How the app ended is what the command has said: an exit status alone tells neither a
// signal from 128 and its number, nor why a program could not be executed. What the command does not say, its exit status
// does.
type Wrapper struct{}

func (Wrapper) reports() {}

// reportFD is the descriptor of a Wrapper's command.
const reportFD = 3

// Report is how the command of a Wrapper speaks to the supervisor.
type Report struct{ fd int }

// OpenReport takes the socket, so that the app does not inherit it.
func OpenReport() *Report {
	unix.CloseOnExec(reportFD)
	return &Report{reportFD}
}

// Started says that the app's program has been executed.
func (r *Report) Started() error { return r.say(word{Started: true}) }

// Exited says how the app ended, or with NotExecuted that it never ran. It is the last word.
func (r *Report) Exited(e supervise.Exit) error {
	e.Reason = e.Reason[:min(len(e.Reason), maxReason)]
	return r.say(word{Exit: &e})
}

func (r *Report) say(w word) error {
	b, err := json.Marshal(w)
	if err == nil {
		err = unix.Send(r.fd, b, unix.MSG_NOSIGNAL)
	}
	if err != nil {
		return fmt.Errorf("report to the supervisor: %w", err)
	}
	return nil
}

// NotExecuted is the end of an app whose program could not be executed because of err: 127 or 126, as a shell has it,
// or supervise.ExitCannotStart when it was not for the program.
func NotExecuted(err error) supervise.Exit {
	e := supervise.Exit{Code: notExecuted(err), Reason: err.Error()}
	if e.Code == 0 {
		e.Code = supervise.ExitCannotStart
	}
	return e
}

// word is one packet.
type word struct {
	Started bool            `json:",omitempty"`
	Exit    *supervise.Exit `json:",omitempty"`
}

// A reason is escaped at worst to six times its length.
const (
	maxReason = 1 << 10
	maxWord   = 8 << 10
)

// listener is the supervisor's end; nil for a command that is the app.
type listener struct{ fd, pidfd int }

// listen makes the socket for a command of impl.
func listen(impl Supervisor, cmd *exec.Cmd) (*listener, error) {
	if _, ok := impl.(interface{ reports() }); !ok {
		return nil, nil
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	l := &listener{fds[0], -1}
	cmd.ExtraFiles = append([]*os.File{os.NewFile(uintptr(fds[1]), "report")}, cmd.ExtraFiles...)
	cmd.SysProcAttr.PidFD = &l.pidfd
	return l, nil
}

func (l *listener) close() {
	if l == nil {
		return
	}
	unix.Close(l.fd)
	if l.pidfd >= 0 {
		unix.Close(l.pidfd)
	}
}

// first waits for the command's first word: that the app runs, or how it ended. No word: the command has ended.
func (l *listener) first() word {
	if l == nil {
		return word{Started: true}
	}
	for {
		// The command's end as well: what it started may have its socket still.
		fds := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}, {Fd: int32(l.pidfd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); !errors.Is(err, unix.EINTR) {
			return l.hear()
		}
	}
}

// hear returns the next word, if there is one.
func (l *listener) hear() (w word) {
	buf := make([]byte, maxWord)
	n, _, err := unix.Recvfrom(l.fd, buf, unix.MSG_DONTWAIT)
	if err != nil || json.Unmarshal(buf[:n], &w) != nil {
		return word{}
	}
	return w
}

// end is how an app ended whose command has, after its first word.
func (l *listener) end(first word, s *os.ProcessState) supervise.Exit {
	last := first
	if l != nil && first.Started {
		last = l.hear()
	}
	if last.Exit != nil {
		return *last.Exit
	}
	ws, _ := s.Sys().(syscall.WaitStatus)
	exit := supervise.ExitOf(ws)
	if !first.Started {
		exit.Code, exit.Reason = supervise.ExitCannotStart, "the program in front of the app ended before it ran: "+s.String()
	}
	return exit
}
