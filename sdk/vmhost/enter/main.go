package enter

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod/tty"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
)

// exitCannotEnter is rkt's own status for what did not work.
const exitCannotEnter = 254

// Main runs `enter POD-DIR APP tty|- -- [COMMAND ARGS]` and returns the status to exit with.
func Main(args []string) int {
	code, err := run(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "rkt: enter: %v\n", err)
		if code == 0 {
			code = exitCannotEnter
		}
	}
	return code
}

func run(args []string) (int, error) {
	if len(args) < 5 || args[4] != "--" {
		return 0, errors.New("usage: enter POD-DIR APP tty|- -- [COMMAND ARGS]")
	}
	r := &Request{App: args[2], TTY: args[3] == "tty", Command: args[5:]}
	if r.TTY {
		r.Term, r.Size = os.Getenv("TERM"), size()
		if r.Term == "" {
			r.Term = "xterm"
		}
	}
	c, err := dial(args[1])
	if err != nil {
		return 0, err
	}
	defer c.Close()
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	var copying sync.WaitGroup
	ends, err := pipes(&copying)
	if err != nil {
		return 0, err
	}
	err = Send(c, r, ends)
	for _, e := range ends {
		e.Close()
	}
	if err != nil {
		return 0, fmt.Errorf("ask the pod's supervisor: %w", err)
	}
	if r.TTY {
		restore, _ := tty.Raw(0)
		defer restore()
	}
	go follow(c, r.TTY)
	var reply Reply
	if err := json.NewDecoder(c).Decode(&reply); err != nil {
		return 0, errors.New("the pod has ended")
	}
	if reply.Error != "" {
		return 0, errors.New(reply.Error)
	}
	copying.Wait()
	switch {
	case reply.Reason != "":
		return reply.Code, errors.New(reply.Reason)
	case reply.Signal != 0:
		return 128 + reply.Signal, nil
	}
	return reply.Code, nil
}

// dial reaches the socket by its directory's descriptor: the path may be longer than an address.
func dial(podDir string) (*net.UnixConn, error) {
	dir, err := unix.Open(filepath.Join(podDir, poddir.Stage1Dir), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open pod directory: %w", err)
	}
	defer unix.Close(dir)
	name := filepath.Join("/proc/self/fd", strconv.Itoa(dir), vmhost.EnterSock)
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: name, Net: "unix"})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return nil, errors.New("the pod's machine is not up yet, or not any more")
	}
	return c, err
}

func size() agent.Size {
	ws, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
	if err != nil {
		return agent.Size{}
	}
	return agent.Size{Rows: ws.Row, Cols: ws.Col}
}

// pipes makes the three pipes and copies between them and this process's own streams. The results are the
// supervisor's ends.
func pipes(copying *sync.WaitGroup) (ends [streams]*os.File, err error) {
	for i := range ends {
		r, w, err := os.Pipe()
		if err != nil {
			return ends, err
		}
		if i == 0 {
			ends[i] = r
			go func() {
				_, _ = io.Copy(w, os.Stdin)
				w.Close()
			}()
			continue
		}
		ends[i] = w
		to := [streams]*os.File{1: os.Stdout, 2: os.Stderr}[i]
		copying.Go(func() {
			_, _ = io.Copy(to, r)
			r.Close()
		})
	}
	return ends, nil
}

// follow passes signals and sizes on.
func follow(c io.Writer, terminal bool) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH)
	out := json.NewEncoder(c)
	for s := range signals {
		n, ok := s.(unix.Signal)
		if !ok {
			continue
		}
		e := Event{Signal: int(n)}
		if n == unix.SIGWINCH {
			if !terminal {
				continue
			}
			e = Event{Size: size()}
		}
		if out.Encode(e) != nil {
			return
		}
	}
}
