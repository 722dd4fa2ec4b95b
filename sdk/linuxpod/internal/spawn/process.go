package spawn

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Process is a program to start. Descriptors in it stay the caller's.
type Process struct {
	Paths []string // absolute, tried in order until one can be executed
	Argv  []string
	Env   []string
	Dir   int    // the working directory
	Stdio [3]int // becomes 0, 1, 2

	ControllingTTY bool // descriptor 0 becomes the session's terminal

	UID, GID uint32
	Groups   []uint32
	// Bounding is the bounding set. With UID 0 it is also permitted and effective; any other user starts
	// with none. Inheritable and ambient are always empty.
	Bounding        uint64
	NoNewPrivileges bool
	Filter          []byte // struct sock_filter array; empty: none

	// IntoCgroup is a cgroup v2 directory (clone3 places the child in it), or -1.
	IntoCgroup int
	// Tasks are files "tasks" of cgroup v1 directories. A single-threaded process that moves itself by them
	// does not wait for the RCU grace period that cgroup.procs costs.
	Tasks []int
	// CgroupNS makes what /proc/self/cgroup says relative to the cgroups joined.
	CgroupNS bool

	// OOMScoreAdj is written below Proc, a mounted procfs of this pid namespace.
	OOMScoreAdj *int
	Proc        int

	// DieWithThread sends the program SIGKILL when the thread that started it ends.
	DieWithThread bool

	// NoFile is the soft limit that the program gets; nil leaves what this process has.
	NoFile *unix.Rlimit
}

// Result is a started program.
type Result struct {
	Pid   int // in this pid namespace
	Pidfd int
	// OOMRefused says that the kernel did not let OOMScoreAdj be lowered (no CAP_SYS_RESOURCE).
	OOMRefused bool
}

// Error says which step in the child did not work.
type Error struct {
	Step  Step
	Errno syscall.Errno
}

func (e *Error) Error() string { return e.Step.String() + ": " + e.Errno.Error() }

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Errno }

// Step is what the child was doing.
type Step uint32

// The steps, in order.
const (
	StepCgroup Step = iota + 1
	StepSession
	StepTTY
	StepStdio
	StepCgroupNS
	StepOOMScore
	StepCloseRange
	StepLimit
	StepBounding
	StepAmbient
	StepKeepCaps
	StepGroups
	StepGID
	StepUID
	StepCapset
	StepDir
	StepNoNewPrivs
	StepSeccomp
	StepExec
)

// String names the step.
func (s Step) String() string {
	names := [...]string{
		"start", "join cgroup", "make session", "take terminal", "place stdin, stdout and stderr", "make cgroup namespace",
		"set oom_score_adj", "close descriptors", "set file limit", "drop capabilities", "drop ambient capabilities",
		"keep capabilities", "set supplementary groups", "set group", "set user", "set capabilities",
		"enter working directory", "set no_new_privs", "install seccomp filter", "execute",
	}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("step %d", uint32(s))
}

// Start starts the program. It returns after execve has succeeded, or an *Error of the step that failed.
func (p *Process) Start() (Result, error) {
	c, err := p.prepare()
	if err != nil {
		return Result{}, err
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return Result{}, err
	}
	defer unix.Close(pipe[0])
	c.report = uintptr(pipe[1])
	pid, pidfd, errno := fork(c)
	unix.Close(pipe[1])
	runtime.KeepAlive(p)
	if errno != 0 {
		return Result{}, fmt.Errorf("fork: %w", errno)
	}
	res := Result{Pid: pid, Pidfd: pidfd}
	failed := readReport(pipe[0], &res)
	if failed == nil {
		return res, nil
	}
	unix.Close(pidfd)
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return res, failed
}

// readReport reads until the pipe's write end is gone, which execve does.
func readReport(fd int, res *Result) *Error {
	var failed *Error
	var rec [2]uint32
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&rec)), unsafe.Sizeof(rec))
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n < len(buf) {
			return failed
		}
		if Step(rec[0]) == StepOOMScore {
			res.OOMRefused = true
			continue
		}
		failed = &Error{Step: Step(rec[0]), Errno: syscall.Errno(rec[1])}
	}
}

// prepare lays out everything that the child needs, so that it only follows pointers.
func (p *Process) prepare() (*child, error) {
	c := &child{
		dir: uintptr(p.Dir), ctty: p.ControllingTTY,
		uid: uintptr(p.UID), gid: uintptr(p.GID),
		nnp: p.NoNewPrivileges, dieWith: p.DieWithThread, cgroupNS: p.CgroupNS, proc: uintptr(p.Proc),
		pidfd: -1,
	}
	var err error
	for _, s := range p.Paths {
		b, err := unix.BytePtrFromString(s)
		if err != nil {
			return nil, fmt.Errorf("command %q: %w", s, err)
		}
		c.paths = append(c.paths, b)
	}
	if c.argv, err = syscall.SlicePtrFromStrings(p.Argv); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	if c.env, err = syscall.SlicePtrFromStrings(p.Env); err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	for i, fd := range p.Stdio {
		if fd < 3 {
			return nil, fmt.Errorf("descriptor %d for %d is not above 2", fd, i)
		}
		c.stdio[i] = uintptr(fd)
	}
	for _, fd := range p.Tasks {
		c.tasks = append(c.tasks, uintptr(fd))
	}
	c.groups = p.Groups
	own, err := permitted()
	if err != nil {
		return nil, err
	}
	// What this process does not have it cannot give (a host that keeps CAP_SYS_RESOURCE back).
	bounding := p.Bounding & own
	for i := range uint(64) {
		if bounding&(1<<i) == 0 {
			c.drop = append(c.drop, uintptr(i))
		}
	}
	c.caps(p.UID, bounding)
	if n := len(p.Filter) / int(unsafe.Sizeof(unix.SockFilter{})); n > 0 {
		if n > 1<<15 {
			return nil, fmt.Errorf("seccomp filter has %d instructions, the kernel takes 32768", n)
		}
		c.filter = &unix.SockFprog{Len: uint16(n), Filter: (*unix.SockFilter)(unsafe.Pointer(&p.Filter[0]))}
	}
	if p.OOMScoreAdj != nil {
		c.oom = []byte(fmt.Sprint(*p.OOMScoreAdj))
		if c.oomPath, err = unix.BytePtrFromString("self/oom_score_adj"); err != nil {
			return nil, err
		}
	}
	c.nofile = p.NoFile
	c.clone = cloneArgs{
		flags:      unix.CLONE_PIDFD | unix.CLONE_VM | unix.CLONE_VFORK,
		pidfd:      uint64(uintptr(unsafe.Pointer(&c.pidfd))),
		exitSignal: uint64(unix.SIGCHLD),
	}
	if p.IntoCgroup >= 0 {
		c.clone.flags |= unix.CLONE_INTO_CGROUP
		c.clone.cgroup = uint64(p.IntoCgroup)
	}
	return c, nil
}

// permitted returns this thread's permitted capabilities.
func permitted() (uint64, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, fmt.Errorf("read own capabilities: %w", err)
	}
	return uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32, nil
}
