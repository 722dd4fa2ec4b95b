package execute

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Background is rkt itself, to be run in a session of its own.
type Background struct {
	Exe     string
	Args    []string
	Options any    // JSON on its standard input
	Log     string // file for its output
	Verb    string // what its own errors begin with
}

// EndedError says why a process in the background ended before it was ready, and with what status: that of rkt where rkt
// refused, and the pod's where its supervisor did.
type EndedError struct {
	Text   string
	Status int // negative when a signal ended it
}

func (e *EndedError) Error() string { return e.Text }

// ExitCode is the exit status of a command that ends with the error.
func (e *EndedError) ExitCode() int { return e.Status }

// Detached starts b and returns when it says READY=1, by systemd's notify protocol, which every supervisor
// speaks. What it has written by then, warnings as a rule, is returned; when it ends before that, the error is an
// *EndedError with the last that it said.
func Detached(ctx context.Context, b Background) (string, error) {
	// A socket file in a 0700 directory: an abstract one could be reached from a pod on the host's network.
	dir, err := os.MkdirTemp("", "rkt-detach-")
	if err != nil {
		return "", fmt.Errorf("start in background: %w", err)
	}
	defer os.RemoveAll(dir)
	addr := &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"}
	sock, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		return "", fmt.Errorf("start in background: %w", err)
	}
	defer sock.Close()
	// Read back through the descriptor: the pod's directory moves when the pod starts.
	log, err := os.OpenFile(b.Log, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return "", fmt.Errorf("start in background: %w", err)
	}
	defer log.Close()
	proc, err := spawn(b, addr.Name, log)
	if err != nil {
		return "", fmt.Errorf("start in background: %w", err)
	}
	ready := make(chan struct{})
	go awaitReady(sock, ready)
	var state *os.ProcessState
	ended := make(chan error, 1)
	go func() {
		var err error
		state, err = proc.Wait()
		// What it said before it ended is in the socket: give the reader until it has seen all of it.
		sock.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) //nolint:errcheck // a socket of ours
		ended <- err
	}()
	select {
	case <-ready:
		return said(log)
	case <-ctx.Done():
		proc.Signal(syscall.SIGTERM) //nolint:errcheck // it may be gone
		<-ended
		return "", ctx.Err()
	case err := <-ended:
		select {
		case <-ready: // a short pod: started, and done already
			return said(log)
		case <-time.After(100 * time.Millisecond):
		}
		if err != nil {
			return "", fmt.Errorf("start in background: %w", err)
		}
		return failure(log, b.Verb, state.ExitCode())
	}
}

func awaitReady(sock *net.UnixConn, ready chan<- struct{}) {
	buf := make([]byte, 4096)
	for {
		n, err := sock.Read(buf)
		if err != nil {
			return
		}
		for _, line := range bytes.Split(buf[:n], []byte("\n")) {
			if string(line) == "READY=1" {
				close(ready)
				return
			}
		}
	}
}

func spawn(b Background, notify string, log *os.File) (*os.Process, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	defer out.Close()
	env := []string{"NOTIFY_SOCKET=" + notify}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "NOTIFY_SOCKET=") && !strings.HasPrefix(kv, "LISTEN_") {
			env = append(env, kv)
		}
	}
	proc, err := os.StartProcess(b.Exe, append([]string{b.Exe}, b.Args...), &os.ProcAttr{
		Env: env, Files: []*os.File{in, log, log}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, err
	}
	return proc, json.NewEncoder(out).Encode(b.Options)
}

// said is the end of what the background process has written.
func said(log *os.File) (string, error) {
	const last = 8 << 10
	st, err := log.Stat()
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.NewSectionReader(log, max(0, st.Size()-last), last))
	return strings.TrimSpace(string(b)), err
}

// failure tells an error of rkt's own, which stands at the end of what was said, from that of a supervisor.
func failure(log *os.File, verb string, status int) (before string, err error) {
	text, err := said(log)
	if err != nil {
		return "", err
	}
	if _, own, ok := strings.Cut("\n"+text, "\n"+verb+": "); ok {
		before = strings.TrimSuffix(text, verb+": "+own)
		return strings.TrimSpace(before), &EndedError{Text: own, Status: status}
	}
	return "", &EndedError{Text: "the pod ended before its apps had started: " + text, Status: status}
}
