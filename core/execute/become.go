package execute

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/launch"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
)

// passed are the variables of the caller that a supervisor needs: systemd's protocols and the terminal.
// Everything else of the caller's environment ends here.
func passed() []string {
	return []string{"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "TERM", "GOTRACEBACK"}
}

// Become replaces this process by the plan's program, a file of the pinned plugin's directory. Descriptors
// named in keep_fds stay open and are announced in RKT_FDS; all others close. It returns only on error.
func Become(e *plugin.Entry, plan *stage1v1.ExecPlan, podDir string, fds []plugin.FD) error {
	program := plan.GetProgram()
	if program == "" {
		program = e.Manifest.Exec
	}
	if program != e.Manifest.Exec && !slices.Contains(e.Manifest.Programs, program) {
		return fmt.Errorf("run program %q of plugin %s: its plugin.json names it neither as exec nor in programs", program, e.Name)
	}
	env, err := environment(plan, fds)
	if err != nil {
		return fmt.Errorf("run program %q of plugin %s: %w", program, e.Name, err)
	}
	cwd := plan.GetCwd()
	if cwd == "" {
		cwd = podDir
	}
	if err := os.Chdir(cwd); err != nil {
		return fmt.Errorf("run program %q of plugin %s: %w", program, e.Name, err)
	}
	path := filepath.Join(e.Dir, program)
	argv := append([]string{path}, plan.GetArgs()...)
	return &os.PathError{Op: "execve", Path: path, Err: syscall.Exec(path, argv, env)}
}

func environment(plan *stage1v1.ExecPlan, fds []plugin.FD) ([]string, error) {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, name := range passed() {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	kept := launch.FDs{}
	var names []string
	for _, name := range plan.GetKeepFds() {
		i := slices.IndexFunc(fds, func(f plugin.FD) bool { return f.Name == name })
		if i < 0 {
			continue // "netns" of a pod on the host's network
		}
		fd := int(fds[i].File.Fd())
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return nil, fmt.Errorf("keep descriptor %s: %w", name, err)
		}
		kept[name] = fd
		names = append(names, name)
	}
	env = append(env, launch.EnvFDs+"="+launch.Format(names, kept))
	for k, v := range plan.GetEnv() {
		if k == launch.EnvFDs || strings.ContainsAny(k, "=\x00") || strings.Contains(v, "\x00") {
			return nil, fmt.Errorf("variable %q of its plan cannot be set", k)
		}
		env = append(env, k+"="+v)
	}
	return env, nil
}
