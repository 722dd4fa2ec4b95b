package tty

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// leaveTime is how long Leave waits for output of a terminal that others keep open.
const leaveTime = 100 * time.Millisecond

// Proxy copies between an app's terminal and this process's streams.
type Proxy struct {
	master  *os.File
	drained chan struct{} // closed when everything that the app wrote has been passed on
	restore func()
	resize  chan os.Signal
}

// Attach connects the terminal's master with stdin, which becomes raw if it is a terminal and whose size is
// followed, and copies what the app writes to out. It owns master.
func Attach(master int, out io.Writer) *Proxy {
	p := Drain(master, out)
	restore, isTerminal := Raw(0)
	p.restore = restore
	if isTerminal {
		p.resize = make(chan os.Signal, 1)
		signal.Notify(p.resize, unix.SIGWINCH)
		go func() {
			for range p.resize {
				p.size()
			}
		}()
		p.size()
	}
	go func() {
		_, err := io.Copy(p.master, os.Stdin)
		if err == nil && !isTerminal {
			// The end of a pipe is Ctrl-D on a terminal.
			_, _ = p.master.Write([]byte{4})
		}
	}()
	return p
}

// Drain copies what the app writes to out; nothing is ever typed.
func Drain(master int, out io.Writer) *Proxy {
	_ = unix.SetNonblock(master, true) // so that the runtime polls it, instead of a thread per read
	p := &Proxy{master: os.NewFile(uintptr(master), "terminal"), drained: make(chan struct{}), restore: func() {}}
	go func() {
		defer close(p.drained)
		// EIO: the last process with the terminal has ended.
		_, err := io.Copy(out, p.master)
		if err != nil && !errors.Is(err, unix.EIO) && !errors.Is(err, os.ErrDeadlineExceeded) {
			_, _ = io.Copy(io.Discard, p.master) // nobody reads any more; the app shall not block
		}
	}()
	return p
}

func (p *Proxy) size() {
	raw, err := p.master.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { CopySize(0, int(fd)) })
}

// Wait returns when the last process with the terminal has ended and its output has been passed on, and
// gives the user's terminal back.
func (p *Proxy) Wait() {
	<-p.drained
	p.close()
}

// Leave passes on what has been written so far and gives the user's terminal back, though others may still
// have the app's.
func (p *Proxy) Leave() {
	// What is in the terminal's buffer is read at once; what comes later is not the command's.
	_ = p.master.SetReadDeadline(time.Now().Add(leaveTime))
	<-p.drained
	p.close()
}

func (p *Proxy) close() {
	if p.resize != nil {
		signal.Stop(p.resize)
		close(p.resize)
	}
	p.restore()
	p.master.Close()
}
