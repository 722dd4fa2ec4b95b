package confine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/mnt"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/nofile"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/plan"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/spawn"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/user"
)

// Settings is an app with what had to be opened while the host's tree was in sight.
type Settings struct {
	App    *plan.App
	Stdio  [3]int
	Proc   int // the pod's procfs
	Cgroup Cgroup
	Filter []byte

	// Command replaces the app's own, for enter.
	Command []string
	// AsRoot runs it as root of the app, whoever the app's user is.
	AsRoot bool
	Term   string // TERM for a terminal, from the caller
	// DieWithThread ends the program with the calling thread.
	DieWithThread bool
}

// Cgroup is the app's cgroup, opened.
type Cgroup struct {
	Into  int // v2: the directory, or -1
	Tasks []int
}

// OpenCgroup opens the app's cgroup on the host's tree.
func OpenCgroup(c plan.Cgroup) (Cgroup, error) {
	out := Cgroup{Into: -1}
	if c.Version == 2 {
		fd, err := unix.Open(c.Dirs[""], unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return out, &os.PathError{Op: "open cgroup", Path: c.Dirs[""], Err: err}
		}
		out.Into = fd
		return out, nil
	}
	seen := map[string]bool{} // controllers that are mounted together share a directory
	for _, dir := range c.Dirs {
		if seen[dir] {
			continue
		}
		seen[dir] = true
		name := filepath.Join(dir, "tasks")
		fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			out.Close()
			return out, &os.PathError{Op: "open cgroup", Path: name, Err: err}
		}
		out.Tasks = append(out.Tasks, fd)
	}
	return out, nil
}

// Close closes the descriptors.
func (c *Cgroup) Close() {
	if c.Into >= 0 {
		unix.Close(c.Into)
	}
	for _, fd := range c.Tasks {
		unix.Close(fd)
	}
}

// Close closes what OpenCgroup opened.
func (s *Settings) Close() { s.Cgroup.Close() }

// noFile is the limit that the app gets: what this process was started with, before Go raised it.
func noFile() *unix.Rlimit {
	soft, hard, ok := nofile.Inherited()
	if !ok {
		return nil
	}
	return &unix.Rlimit{Cur: soft, Max: hard}
}

// Start starts the program. What goes wrong with the program itself is an *ExecError.
func (s *Settings) Start(warn func(format string, args ...any)) (spawn.Result, error) {
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return spawn.Result{}, err
	}
	defer unix.Close(root)
	who, group := s.App.User, s.App.Group
	extra := s.App.SupplementaryGIDs
	if s.AsRoot {
		who, group, extra = "0", "0", nil
	}
	id, err := user.Lookup(root, who, group, extra)
	if err != nil {
		return spawn.Result{}, err
	}
	dirName := s.App.Dir
	if dirName == "" {
		dirName = "/"
	}
	// Resolved without magic links: a working directory of /proc/self/fd/N leads nowhere.
	dir, err := mnt.Open(root, dirName, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return spawn.Result{}, fmt.Errorf("open working directory %s: %w", dirName, err)
	}
	defer unix.Close(dir)
	argv := s.App.Argv
	if len(s.Command) > 0 {
		argv = s.Command
	}
	terminal := s.App.Stdin == poddir.StdinTTY
	if s.AsRoot {
		terminal = s.Term != ""
	}
	env := environment(s.App, id, s.Term, terminal)
	paths, err := search(argv, env, dirName)
	if err != nil {
		return spawn.Result{}, err
	}
	p := &spawn.Process{
		Paths: paths, Argv: argv, Env: env, Dir: dir, Stdio: s.Stdio, ControllingTTY: terminal,
		UID: id.UID, GID: id.GID, Groups: id.Groups,
		Bounding: s.App.Caps, NoNewPrivileges: s.App.NoNewPrivileges, Filter: s.Filter,
		IntoCgroup: s.Cgroup.Into, Tasks: s.Cgroup.Tasks, CgroupNS: true,
		OOMScoreAdj: s.App.Resources.OOMScoreAdj, Proc: s.Proc, NoFile: noFile(), DieWithThread: s.DieWithThread,
	}
	res, err := p.Start()
	if res.OOMRefused {
		warn("app %q: oom_score_adj cannot be lowered to %d without CAP_SYS_RESOURCE; it stays as it is", s.App.Name, *s.App.Resources.OOMScoreAdj)
	}
	var step *spawn.Error
	if errors.As(err, &step) && step.Step == spawn.StepExec {
		return res, diagnose(paths, argv, step.Errno)
	}
	return res, err
}
