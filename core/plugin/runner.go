package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/go-plugin/runner"
)

// processRunner is go-plugin's view of a child: it starts it, and shows go-plugin of its output only a
// handshake line that has been checked. stderr is drained by us, and waiting for the process never depends on
// its pipes, which a grandchild may hold open.
type processRunner struct {
	start  func(env []string, dir string) (*child, error)
	env    []string
	dir    string // the private directory
	majors []int  // that the plugin may choose from
	log    *drain

	child *child
	line  *io.PipeReader // what go-plugin reads as stdout
	read  chan struct{}  // closed when the line has been read, or never will be
	hello handshake
	err   error // of the handshake, after read
}

var _ runner.Runner = (*processRunner)(nil)

// newRunner is called by go-plugin's client with its environment and the private directory that it made.
func newRunner(cmd *exec.Cmd, dir string, majors []int) *processRunner {
	return &processRunner{env: offer(handshakeEnv(cmd.Env), majors), dir: dir, majors: majors, read: make(chan struct{})}
}

// handshakeEnv keeps of go-plugin's variables those of the contract (proto/launch).
func handshakeEnv(env []string) []string {
	var out []string
	for _, v := range env {
		if !strings.HasPrefix(v, "PLUGIN_MIN_PORT=") && !strings.HasPrefix(v, "PLUGIN_MAX_PORT=") {
			out = append(out, v)
		}
	}
	return out
}

func (r *processRunner) Start(context.Context) error {
	c, err := r.start(r.env, r.dir)
	if err != nil {
		return err
	}
	r.child = c
	go r.log.run(c.stderr)
	pr, pw := io.Pipe()
	r.line = pr
	go r.handshake(pw)
	return nil
}

func (r *processRunner) handshake(pw *io.PipeWriter) {
	br := bufio.NewReaderSize(r.child.stdout, maxHandshake)
	var line string
	line, r.hello, r.err = readHandshake(br, r.dir, r.majors)
	close(r.read)
	if r.err == nil {
		_, _ = io.WriteString(pw, line)
	}
	pw.Close()
	n, _ := io.Copy(io.Discard, br)
	if n > 0 && r.err == nil {
		r.log.log.Warn("plugin prints on stdout, which is for the handshake alone", "bytes", n)
	}
}

func (r *processRunner) Stdout() io.ReadCloser { return r.line }

// Stderr is at its end: run drains the real one.
func (r *processRunner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

func (r *processRunner) Name() string { return "plugin" }

func (r *processRunner) ID() string {
	if r.child == nil {
		return ""
	}
	return strconv.Itoa(r.child.pid)
}

func (r *processRunner) Diagnose(context.Context) string { return "" }

func (r *processRunner) Wait(context.Context) error {
	<-r.child.exited
	return nil
}

// Kill is asked for when the start fails. Launch calls Close then, which does more, and wants to see first
// whether the plugin has died by itself.
func (r *processRunner) Kill(context.Context) error { return nil }

// PluginToHost is asked for every address that the plugin names.
func (r *processRunner) PluginToHost(network, addr string) (string, string, error) {
	if network != "unix" || filepath.Dir(addr) != r.dir {
		return "", "", fmt.Errorf("plugin names the address %s %s, outside of its directory", quote(network), quote(addr))
	}
	return network, addr, nil
}

func (r *processRunner) HostToPlugin(string, string) (string, string, error) {
	return "", "", errors.New("nothing of core's is for a plugin to dial")
}

// crashed describes how the process ended.
func crashed(s *os.ProcessState) string {
	if s == nil {
		return "ended"
	}
	return s.String() // "exit status 2", "signal: killed"
}
