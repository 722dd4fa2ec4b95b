package supervisor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/enter"
)

const enterPath = poddir.Stage1Dir + "/" + vmhost.EnterSock

// serveEnter makes the socket that `rkt enter` speaks to. See package enter for what is spoken.
func (f *Flavor) serveEnter() error {
	if err := os.Remove(enterPath); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// The name gets the mode of the socket. A umask is the whole process's, which makes other files meanwhile.
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(cerr, err)
	}}
	listener, err := private.Listen(f.ctx, "unix", enterPath)
	if err != nil {
		return fmt.Errorf("listen for rkt enter: %w", err)
	}
	l := listener.(*net.UnixListener)
	l.SetUnlinkOnClose(false)
	context.AfterFunc(f.ctx, func() { l.Close() })
	go func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if err := f.enter(c); err != nil {
					_ = json.NewEncoder(c).Encode(enter.Reply{Error: err.Error()})
				}
			}()
		}
	}()
	return nil
}

// enter serves one client: its request comes with the far ends of its streams.
func (f *Flavor) enter(c *net.UnixConn) error {
	req, files, err := enter.Receive(c)
	defer func() {
		for _, file := range files {
			file.Close()
		}
	}()
	if err != nil {
		return err
	}
	if filepath.Base(req.App) != req.App || f.pod.App(req.App) == nil {
		return fmt.Errorf("pod has no app %q", req.App)
	}
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	start, done := context.WithTimeout(ctx, time.Minute)
	p, err := f.client.Enter(start, agent.EnterSpec{App: req.App, Command: req.Command, TTY: req.TTY, Term: req.Term, Size: req.Size})
	done()
	if err != nil {
		return err
	}
	var out sync.WaitGroup
	carry := func(to io.WriteCloser, from *agent.Stream) {
		out.Go(func() {
			_, _ = io.Copy(to, from)
			from.Close() // the client reads no more, or there is no more
			to.Close()
		})
	}
	go func() {
		_, _ = io.Copy(p.Stdin, files[0])
		if !req.TTY {
			p.Stdin.Close()
		}
	}()
	carry(files[1], p.Stdout)
	if p.Stderr != nil {
		carry(files[2], p.Stderr)
	}
	var ended atomic.Bool
	go func() { // what the client has to say while it waits; its end is the command's
		lines := bufio.NewScanner(c)
		for lines.Scan() {
			var e enter.Event
			if json.Unmarshal(lines.Bytes(), &e) != nil {
				break
			}
			if e.Signal != 0 {
				_ = p.Signal(ctx, e.Signal)
			} else {
				_ = p.Resize(ctx, e.Size)
			}
		}
		if ended.Load() {
			return
		}
		bye, cancelBye := context.WithTimeout(context.Background(), requestTime)
		defer cancelBye()
		_ = p.Signal(bye, int(unix.SIGKILL))
		cancel()
	}()
	e, err := p.Wait(ctx)
	ended.Store(true)
	if err != nil {
		return errors.New("the pod has ended")
	}
	settled := make(chan struct{})
	go func() { out.Wait(); close(settled) }()
	select {
	case <-settled:
	case <-time.After(leaveTime): // others may have its terminal or its pipes
	case <-ctx.Done():
	}
	return json.NewEncoder(c).Encode(enter.Reply{Code: e.Code, Signal: e.Signal, Reason: e.Reason})
}

// leaveTime is how long a command's output may come after its end from processes that it has left behind.
const leaveTime = 2 * time.Second
