package host

import (
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod/tty"
)

// Terminal takes over the master of an app's terminal, before the app starts: the user's own terminal is
// connected to it, or a detached pod's log.
func (f *Flavor) Terminal(app string, master int) {
	var t *tty.Proxy
	if f.detached {
		t = tty.Drain(master, logFile(app))
	} else {
		t = tty.Attach(master, os.Stdout)
	}
	f.mu.Lock()
	f.terminals = append(f.terminals, t)
	f.mu.Unlock()
}

// logFile opens the app's log. Without one its output is lost, and the user told.
func logFile(app string) io.Writer {
	if err := os.MkdirAll(poddir.LogsDir, 0o750); err != nil {
		fmt.Fprintf(os.Stderr, "rkt: log of app %q: %v\n", app, err)
		return io.Discard
	}
	l, err := os.OpenFile(path.Join(poddir.LogsDir, app+".log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o640)
	if err != nil {
		fmt.Fprintf(os.Stderr, "rkt: log of app %q: %v\n", app, err)
		return io.Discard
	}
	return l
}
