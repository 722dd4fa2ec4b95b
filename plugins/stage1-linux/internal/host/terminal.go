package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/tty"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// terminal copies between an app's terminal and the supervisor's own streams.
type terminal struct {
	master  *os.File
	drained chan struct{} // closed when everything that the app wrote has been passed on
	restore func()
	resize  chan os.Signal
}

// terminal starts the copying. It is called before the app starts.
func (f *Flavor) terminal(app string, fd int) {
	if err := unix.SetNonblock(fd, true); err != nil {
		fmt.Fprintf(os.Stderr, "rkt: terminal of app %q: %v\n", app, err)
	}
	t := &terminal{master: os.NewFile(uintptr(fd), "terminal of "+app), drained: make(chan struct{}), restore: func() {}}
	out := os.Stdout
	if f.plan.Detached {
		log := path.Join(poddir.LogsDir, app+".log")
		if err := os.MkdirAll(poddir.LogsDir, 0o750); err != nil {
			fmt.Fprintf(os.Stderr, "rkt: log of app %q: %v\n", app, err)
		}
		l, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o640)
		if err != nil {
			fmt.Fprintf(os.Stderr, "rkt: log of app %q: %v\n", app, err)
		}
		out = l
	} else {
		t.attach()
	}
	go func() {
		defer close(t.drained)
		// EIO: the last process with the terminal has ended.
		_, err := io.Copy(out, t.master)
		if err != nil && !errors.Is(err, unix.EIO) {
			_, _ = io.Copy(io.Discard, t.master) // nobody reads any more; the app shall not block
		}
	}()
	f.mu.Lock()
	f.terminals = append(f.terminals, t)
	f.mu.Unlock()
}

// attach connects the supervisor's stdin, raw if it is a terminal, and follows its size.
func (t *terminal) attach() {
	restore, isTerminal := tty.Raw(0)
	t.restore = restore
	if isTerminal {
		t.resize = make(chan os.Signal, 1)
		signal.Notify(t.resize, unix.SIGWINCH)
		go func() {
			for range t.resize {
				t.size()
			}
		}()
		t.size()
	}
	go func() {
		_, err := io.Copy(t.master, os.Stdin)
		if err == nil && !isTerminal {
			// The end of a pipe is Ctrl-D on a terminal.
			_, _ = t.master.Write([]byte{4})
		}
	}()
}

func (t *terminal) size() {
	raw, err := t.master.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { tty.CopySize(0, int(fd)) })
}

// finish passes on the last of the app's output and gives the user's terminal back. Every process with the
// app's terminal has ended.
func (t *terminal) finish() {
	<-t.drained
	if t.resize != nil {
		signal.Stop(t.resize)
	}
	t.restore()
	t.master.Close()
}
