package protocol

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

func handshake(ctx context.Context, e *suite.Env) error {
	p, err := e.Start(ctx, process.Options{Handshake: e.Within(handshakeLimit)})
	if err != nil {
		return err
	}
	fi, err := os.Lstat(p.Hello.Socket)
	if err != nil {
		return err
	}
	if fi.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%s is not a socket (mode %v)", p.Hello.Socket, fi.Mode())
	}
	return alive(ctx, p) // the dialer compares pids
}

// silent looks at all of a session's stdout, its end included.
func silent(ctx context.Context, e *suite.Env) error {
	p, err := e.Ready(ctx, process.Options{})
	if err != nil {
		return err
	}
	if err := alive(ctx, p); err != nil {
		return err
	}
	_ = refuses(ctx, p, notJSON) // something to complain about
	p.CutLifeline()
	if _, err := p.Wait(e.Within(endLimit)); err != nil {
		return err
	}
	if err := drained(ctx, e, p); err != nil {
		return err
	}
	if _, rest, _ := strings.Cut(p.Stdout(), "\n"); rest != "" {
		return fmt.Errorf("after the handshake it printed %q", clip(rest))
	}
	return nil
}

func drained(ctx context.Context, e *suite.Env, p *process.Process) error {
	select {
	case <-p.Drained():
		return nil
	case <-time.After(e.Within(endLimit)):
		return errors.New("somebody holds its stdout or stderr open after its end")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func clip(s string) string { return s[:min(len(s), 100)] }

func byHand(_ context.Context, e *suite.Env) error {
	dir, err := e.Dir()
	if err != nil {
		return err
	}
	p, err := process.Spawn(process.Options{Dir: e.Plugin.Dir, Exec: e.Manifest.Exec, SocketDir: dir, NoCookie: true})
	if err != nil {
		return err
	}
	e.Defer(p.Close)
	state, err := p.Wait(e.Within(endLimit))
	if err != nil {
		return fmt.Errorf("without the cookie of the environment it %w", process.ErrAlive)
	}
	if state.ExitCode() <= 0 {
		return fmt.Errorf("without the cookie of the environment it ended with %v; want an exit status that says error", state)
	}
	if err := drained(context.Background(), e, p); err != nil {
		return err
	}
	if text, _, _ := p.Stderr(); strings.TrimSpace(text+p.Stdout()) == "" {
		return errors.New("without the cookie of the environment it says nothing to the person who started it")
	}
	return nil
}

func versions(ctx context.Context, e *suite.Env) error {
	for _, v := range []string{"1,2", "2,1", "1,2,3,4000000000"} {
		p, err := e.Start(ctx, process.Options{Versions: v})
		if err == nil {
			err = alive(ctx, p)
		}
		if err != nil {
			return fmt.Errorf("with PLUGIN_PROTOCOL_VERSIONS=%s: %w", v, err)
		}
		if err := p.Close(); err != nil {
			return err
		}
	}
	return nil
}

// newer: a plugin says what it speaks and leaves the refusal to core, or says on stderr why it ends.
func newer(ctx context.Context, e *suite.Env) error {
	p, err := e.Start(ctx, process.Options{Versions: "2000"})
	switch {
	case err == nil:
		return nil // it offers 1, which core refuses with both sides' versions
	case p == nil || errors.Is(err, process.ErrProtocol):
		return fmt.Errorf("with PLUGIN_PROTOCOL_VERSIONS=2000 it claims to speak what it cannot: %w", err)
	case !errors.Is(err, process.ErrNoHandshake):
		return err
	}
	state, werr := p.Wait(e.Within(endLimit))
	if werr != nil {
		return fmt.Errorf("with PLUGIN_PROTOCOL_VERSIONS=2000 it neither answers nor ends: %w", werr)
	}
	if state.ExitCode() < 0 {
		return fmt.Errorf("with PLUGIN_PROTOCOL_VERSIONS=2000 it crashed: %v", state)
	}
	if text, _, _ := p.Stderr(); strings.TrimSpace(text) == "" {
		return errors.New("with PLUGIN_PROTOCOL_VERSIONS=2000 it ended without a word on stderr")
	}
	return nil
}

func bare(ctx context.Context, e *suite.Env) error {
	if os.Geteuid() != 0 {
		return suite.Skip("root alone can make / read-only and empty /tmp for the plugin; it was run with an empty environment in every other check")
	}
	p, err := e.Ready(ctx, process.Options{ReadOnly: true, NoTmp: true})
	if err != nil {
		return fmt.Errorf("with / read-only, nothing in /tmp and no PATH, HOME or TMPDIR: %w", err)
	}
	return alive(ctx, p)
}

func eof(ctx context.Context, e *suite.Env) error {
	p, err := e.Ready(ctx, process.Options{})
	if err != nil {
		return err
	}
	if err := alive(ctx, p); err != nil {
		return err
	}
	p.CutLifeline()
	state, err := p.Wait(e.Within(endLimit))
	if err != nil {
		return fmt.Errorf("after the end of its standard input %w", err)
	}
	if !state.Success() {
		return fmt.Errorf("after the end of its standard input it ended with %v", state)
	}
	return nil
}

func noSocket(ctx context.Context, e *suite.Env) error {
	p, err := ended(ctx, e, alive)
	if err != nil {
		return err
	}
	left, err := p.Sockets()
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("it left %s in PLUGIN_UNIX_SOCKET_DIR", strings.Join(left, ", "))
	}
	return err
}

func noProcess(ctx context.Context, e *suite.Env) error {
	p, err := ended(ctx, e, ask) // which may look at the host with programs
	if err != nil {
		return err
	}
	if left := p.Session(); len(left) > 0 {
		name, _ := os.ReadFile(filepath.Join("/proc", fmt.Sprint(left[0]), "comm"))
		return fmt.Errorf("%d processes of its session live on, the first is %s", len(left), strings.TrimSpace(string(name)))
	}
	return nil
}

// ended is a plugin whose life is over in order, after some work.
func ended(ctx context.Context, e *suite.Env, work func(context.Context, *process.Process) error) (*process.Process, error) {
	p, err := e.Ready(ctx, process.Options{})
	if err != nil {
		return nil, err
	}
	if err := work(ctx, p); err != nil {
		return nil, err
	}
	p.CutLifeline()
	_, err = p.Wait(e.Within(endLimit))
	return p, err
}

func chatter(ctx context.Context, e *suite.Env) error {
	p, err := e.Start(ctx, process.Options{})
	if err != nil {
		return err
	}
	if err := p.Say("exit\nquit\n\x00\xff\n"); err != nil {
		return err
	}
	// Time to obey; a plugin that needs more is missed, one that ignores the bytes is never blamed.
	if state, err := p.Wait(500 * time.Millisecond); err == nil {
		return fmt.Errorf("it ended (%v) when bytes came on its standard input", state)
	}
	if err := alive(ctx, p); err != nil {
		return fmt.Errorf("after bytes on its standard input: %w", err)
	}
	return nil
}

// killed uses one directory for all starts, as somebody who fails to clean up would.
func killed(ctx context.Context, e *suite.Env) error {
	dir, err := e.Dir()
	if err != nil {
		return err
	}
	for range 8 {
		p, err := process.Spawn(process.Options{Dir: e.Plugin.Dir, Exec: e.Manifest.Exec, SocketDir: dir, Kind: kindOf(e)})
		if err != nil {
			return err
		}
		time.Sleep(e.Between(15 * time.Millisecond)) // the moment is what is tried, not waited for
		p.Kill()
		if err := p.Close(); err != nil {
			return err
		}
	}
	p, err := e.Start(ctx, process.Options{SocketDir: dir})
	if err != nil {
		return fmt.Errorf("after 8 kills: %w", err)
	}
	return alive(ctx, p)
}

func kindOf(e *suite.Env) string { return e.Manifest.Provides[0].Service }
