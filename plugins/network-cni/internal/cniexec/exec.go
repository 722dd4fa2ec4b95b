package cniexec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Call is one call of a built-in type, as CNI's environment and stdin describe it.
type Call struct {
	Command, ContainerID, NetNS, IfName string
	Config                              []byte
}

// Builtin is a type that runs in this process. Its result is printed as a program would print it; nil prints nothing.
type Builtin func(ctx context.Context, c Call) (types.Result, error)

// Exec implements libcni's invoke.Exec.
type Exec struct {
	version.PluginDecoder
	Builtins map[string]Builtin
}

var _ invoke.Exec = (*Exec)(nil)

const (
	builtinPrefix = "builtin:"
	maxOutput     = 1 << 20
)

// SearchPath gives the directories of CNI programs, the plugin's own first. own is the plugin's directory.
func SearchPath(own string) []string {
	return []string{own, "/usr/lib/rkt/cni", "/opt/cni/bin", "/usr/lib/cni"}
}

// FindInPath finds the program of a type.
func (e *Exec) FindInPath(typ string, dirs []string) (string, error) {
	if _, ok := e.Builtins[typ]; ok {
		return builtinPrefix + typ, nil
	}
	if typ == "" || typ == "." || typ == ".." || strings.ContainsAny(typ, "/\x00") {
		return "", plugin.ConfigInvalid("%q cannot be a CNI plugin's type: it is not a bare file name", typ)
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, typ)
		fi, err := os.Stat(path)
		if err != nil || !fi.Mode().IsRegular() {
			continue
		}
		if err := trusted(path, fi); err != nil {
			return "", err
		}
		return path, nil
	}
	known := []string{}
	for name := range e.Builtins {
		known = append(known, name)
	}
	slices.Sort(known)
	return "", plugin.HostUnfit("find CNI plugin %q: not built in (%s is) and not in %s; install it there, on Debian: "+
		"apt-get install containernetworking-plugins", typ, strings.Join(known, ", "), strings.Join(dirs, ", "))
}

// trusted refuses to run as root what another user can change.
func trusted(path string, fi os.FileInfo) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if int(st.Uid) != 0 && int(st.Uid) != os.Geteuid() {
		return plugin.HostUnfit("run CNI plugin %s: it belongs to uid %d, not to root; type: chown root %s", path, st.Uid, path)
	}
	if fi.Mode()&0o022 != 0 {
		return plugin.HostUnfit("run CNI plugin %s: others may write to it (mode %#o); type: chmod go-w %s",
			path, fi.Mode().Perm(), path)
	}
	return nil
}

// ExecPlugin runs a plugin to its end.
func (e *Exec) ExecPlugin(ctx context.Context, path string, stdin []byte, environ []string) ([]byte, error) {
	if typ, ok := strings.CutPrefix(path, builtinPrefix); ok {
		return e.builtin(ctx, typ, stdin, environ)
	}
	runtime.LockOSThread() // Pdeathsig means the thread
	defer runtime.UnlockOSThread()
	stdout, stderr := &bounded{max: maxOutput}, &bounded{max: 64 << 10}
	for try := 0; ; try++ {
		c := exec.CommandContext(ctx, path)
		c.Env, c.Dir = environment(environ), "/"
		c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(stdin), stdout, stderr
		// A program must not go on changing the host when this process was killed and a teardown is on its way.
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		c.Cancel = func() error { return unix.Kill(-c.Process.Pid, unix.SIGKILL) } // with its children: iptables and the like
		c.WaitDelay = time.Second
		err := c.Run()
		if errors.Is(err, unix.ETXTBSY) && try < 20 { // being replaced by a package manager
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("run %s: %w", path, context.Cause(ctx))
		}
		if stdout.over || stderr.over {
			return nil, fmt.Errorf("run %s: it printed more than anybody reads", path)
		}
		if err != nil {
			return nil, failure(path, err, stdout.buf.Bytes(), stderr.buf.Bytes())
		}
		if s := strings.TrimSpace(stderr.buf.String()); s != "" {
			slog.WarnContext(ctx, "a CNI plugin had something to say", "plugin", path, "text", s)
		}
		return stdout.buf.Bytes(), nil
	}
}

// builtin runs a built-in type as if it were a program.
func (e *Exec) builtin(ctx context.Context, typ string, stdin []byte, environ []string) ([]byte, error) {
	env := func(key string) string {
		for _, kv := range slices.Backward(environ) {
			if v, ok := strings.CutPrefix(kv, key+"="); ok {
				return v
			}
		}
		return ""
	}
	c := Call{
		Command: env("CNI_COMMAND"), ContainerID: env("CNI_CONTAINERID"), NetNS: env("CNI_NETNS"),
		IfName: env("CNI_IFNAME"), Config: stdin,
	}
	if c.Command == "VERSION" {
		return json.Marshal(version.All)
	}
	result, err := e.Builtins[typ](ctx, c)
	if err != nil || result == nil {
		return nil, err
	}
	return json.Marshal(result)
}

// environment keeps what CNI speaks of, and a search path for the programs that plugins call (iptables, nft).
func environment(environ []string) []string {
	path := "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	var env []string
	for _, kv := range environ {
		switch {
		case strings.HasPrefix(kv, "CNI_"):
			env = append(env, kv)
		case strings.HasPrefix(kv, "PATH=/"):
			path = kv
		}
	}
	return append(env, path)
}

// failure turns what a program left into an error. Its own message is JSON on stdout.
func failure(path string, err error, stdout, stderr []byte) error {
	var e types.Error
	if json.Unmarshal(stdout, &e) == nil && e.Msg != "" {
		return &e
	}
	said := strings.TrimSpace(string(stderr))
	if said == "" {
		said = strings.TrimSpace(string(stdout))
	}
	if len(said) > 2000 {
		said = said[:2000]
	}
	if said == "" {
		return fmt.Errorf("run %s: %w, and it gave no reason", path, err)
	}
	return fmt.Errorf("run %s: %w: %q", path, err, said)
}

// bounded keeps the first max bytes; more is an error, at which the program's pipe is closed. The buffer is not
// embedded: its ReadFrom would go past the bound.
type bounded struct {
	buf  bytes.Buffer
	max  int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.max - b.buf.Len(); len(p) > room {
		b.over = true
		b.buf.Write(p[:room])
		return room, io.ErrShortWrite
	}
	return b.buf.Write(p)
}
