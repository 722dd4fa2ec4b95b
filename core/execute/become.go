package execute

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	env, keep, err := environment(plan, fds)
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
	if err := sealDescriptors(keep); err != nil {
		return fmt.Errorf("run program %q of plugin %s: %w", program, e.Name, err)
	}
	err = &os.PathError{Op: "execve", Path: path, Err: syscall.Exec(path, argv, env)}
	// What follows a failed start may run plugins: none may inherit the lock.
	return errors.Join(err, sealDescriptors(nil))
}

// SealDescriptors sets close-on-exec on whatever this process was started with beyond standard input, output and
// error: a plugin must get neither systemd's sockets nor what a careless caller left open.
func SealDescriptors() error { return sealDescriptors(nil) }

// sealDescriptors sets close-on-exec on all descriptors above 2 but those in keep.
func sealDescriptors(keep []int) error {
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil { // since Linux 5.11
		return os.NewSyscallError("close_range", err)
	}
	for _, fd := range keep {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("keep descriptor %d: %w", fd, err)
		}
	}
	return nil
}

// activated are the sockets that systemd passed to this very process (sd_listen_fds(3)): from 3 on.
func activated() []int {
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 1 || n > 1024 || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	var fds []int
	for fd := 3; fd < 3+n; fd++ {
		fds = append(fds, fd)
	}
	return fds
}

// environment returns the variables and the descriptors that the program gets. What the plan sets wins.
func environment(plan *stage1v1.ExecPlan, fds []plugin.FD) ([]string, []int, error) {
	vars := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	keep := activated()
	for _, name := range passed() {
		if v, ok := os.LookupEnv(name); ok && (len(keep) > 0 || !strings.HasPrefix(name, "LISTEN_")) {
			vars[name] = v
		}
	}
	kept := launch.FDs{}
	var names []string
	for _, name := range plan.GetKeepFds() {
		i := slices.IndexFunc(fds, func(f plugin.FD) bool { return f.Name == name })
		if i < 0 {
			continue // "netns" of a pod on the host's network
		}
		if _, twice := kept[name]; twice {
			return nil, nil, fmt.Errorf("its plan keeps descriptor %q twice", name)
		}
		fd := int(fds[i].File.Fd())
		kept[name], names, keep = fd, append(names, name), append(keep, fd)
	}
	for k, v := range plan.GetEnv() {
		if k == "" || k == launch.EnvFDs || strings.ContainsAny(k, "=\x00") || strings.Contains(v, "\x00") {
			return nil, nil, fmt.Errorf("variable %q of its plan cannot be set", k)
		}
		vars[k] = v
	}
	vars[launch.EnvFDs] = launch.Format(names, kept)
	var env []string
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, k+"="+vars[k])
	}
	return env, keep, nil
}
