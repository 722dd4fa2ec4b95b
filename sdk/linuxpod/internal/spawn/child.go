package spawn

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cloneArgs is struct clone_args of clone3(2), as of Linux 5.7.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// sigaction is the kernel's struct sigaction; a zero one is SIG_DFL. It is larger than either architecture's.
type sigaction [4]uint64

// child is all that the new process looks at. It is complete before the fork and never written after it.
type child struct {
	clone  cloneArgs
	pidfd  int32
	report uintptr

	paths     []*byte
	argv, env []*byte
	dir       uintptr
	stdio     [3]uintptr
	ctty      bool
	tasks     []uintptr
	cgroupNS  bool
	proc      uintptr
	oomPath   *byte
	oom       []byte
	nofile    *unix.Rlimit
	drop      []uintptr
	groups    []uint32
	uid, gid  uintptr
	capHeader unix.CapUserHeader
	capKeep   [2]unix.CapUserData // between setuid and execve
	capFinal  [2]unix.CapUserData
	dieWith   bool
	nnp       bool
	filter    *unix.SockFprog

	allSignals, noSignals uint64
	defaultAction         sigaction
	zero                  [1]byte // "0"
}

// caps lays out the sets. Before the fork the process has them all: root of the host.
func (c *child) caps(uid uint32, bounding uint64) {
	c.capHeader = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	// SYS_ADMIN installs a filter without no_new_privs, whoever the user is by then.
	const admin = 1 << unix.CAP_SYS_ADMIN
	c.capKeep = capData(bounding | admin)
	if uid == 0 {
		c.capFinal = capData(bounding)
	}
}

func capData(mask uint64) [2]unix.CapUserData {
	lo, hi := uint32(mask), uint32(mask>>32)
	return [2]unix.CapUserData{{Effective: lo, Permitted: lo}, {Effective: hi, Permitted: hi}}
}

// fork makes the child and lets it run into execve. The parent's half returns; the child's never does.
//
// Everything from vfork on runs in the child without a Go runtime: no allocation, no call but RawSyscall
// (which does not grow the stack), no write barrier, no channel, no lock. The child borrows the memory and this
// thread's stack while the parent's thread sleeps (CLONE_VM, CLONE_VFORK), so it must never return, and writes
// to locals alone. The race detector would insert calls, hence norace; inlining would move this into a larger
// frame, hence noinline.
//
//go:noinline
//go:norace
//go:nocheckptr
func fork(c *child) (pid, pidfd int, errno syscall.Errno) {
	var (
		r1   uintptr
		r2   uintptr
		err  syscall.Errno
		step Step
		i    int
		rec  [2]uint32
		old  uint64
	)
	c.allSignals = ^uint64(0)
	c.zero[0] = '0'
	const sigsetSize = 8

	// Signals that arrive in the child before its handlers are gone would run the Go runtime's.
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&c.allSignals)), uintptr(unsafe.Pointer(&old)), sigsetSize, 0, 0)
	r1, r2 = vfork(unsafe.Pointer(&c.clone), unsafe.Sizeof(c.clone))
	if r2 != 0 || r1 != 0 {
		syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, sigsetSize, 0, 0)
		return int(r1), int(c.pidfd), syscall.Errno(r2)
	}

	// The child.
	for i = 1; i <= 64; i++ {
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(i), uintptr(unsafe.Pointer(&c.defaultAction)), 0, sigsetSize, 0, 0)
	}

	step = StepCgroup
	for i = 0; i < len(c.tasks); i++ {
		if _, _, err = syscall.RawSyscall(unix.SYS_WRITE, c.tasks[i], uintptr(unsafe.Pointer(&c.zero)), 1); err != 0 {
			goto fail
		}
	}

	step = StepSession
	if _, _, err = syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0); err != 0 {
		goto fail
	}
	step = StepTTY
	if c.ctty {
		if _, _, err = syscall.RawSyscall(unix.SYS_IOCTL, c.stdio[0], unix.TIOCSCTTY, 0); err != 0 {
			goto fail
		}
	}
	step = StepStdio
	for i = 0; i < 3; i++ {
		if _, _, err = syscall.RawSyscall(unix.SYS_DUP3, c.stdio[i], uintptr(i), 0); err != 0 {
			goto fail
		}
	}
	step = StepCgroupNS
	if c.cgroupNS {
		if _, _, err = syscall.RawSyscall(unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP, 0, 0); err != 0 {
			goto fail
		}
	}
	if c.oomPath != nil {
		r1, _, err = syscall.RawSyscall6(unix.SYS_OPENAT, c.proc, uintptr(unsafe.Pointer(c.oomPath)), unix.O_WRONLY|unix.O_CLOEXEC, 0, 0, 0)
		if err == 0 {
			_, _, err = syscall.RawSyscall(unix.SYS_WRITE, r1, uintptr(unsafe.Pointer(unsafe.SliceData(c.oom))), uintptr(len(c.oom)))
		}
		if err != 0 {
			// Not fatal: the parent turns it into a warning.
			rec[0], rec[1] = uint32(StepOOMScore), uint32(err)
			syscall.RawSyscall(unix.SYS_WRITE, c.report, uintptr(unsafe.Pointer(&rec)), unsafe.Sizeof(rec))
		}
	}
	step = StepCloseRange
	// Everything here is close-on-exec already; this is for what a library or the caller's caller forgot.
	if _, _, err = syscall.RawSyscall(unix.SYS_CLOSE_RANGE, 3, ^uintptr(0)>>32, unix.CLOSE_RANGE_CLOEXEC); err != 0 {
		goto fail
	}
	step = StepLimit
	if c.nofile != nil {
		if _, _, err = syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(c.nofile)), 0, 0, 0); err != 0 {
			goto fail
		}
	}

	step = StepBounding
	for i = 0; i < len(c.drop); i++ {
		// EINVAL: a number beyond this kernel's last capability.
		if _, _, err = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c.drop[i], 0, 0, 0, 0); err != 0 && err != unix.EINVAL {
			goto fail
		}
	}
	step = StepAmbient
	if _, _, err = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0); err != 0 {
		goto fail
	}
	step = StepKeepCaps
	if _, _, err = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0, 0, 0, 0); err != 0 {
		goto fail
	}
	step = StepDir
	if _, _, err = syscall.RawSyscall(unix.SYS_FCHDIR, c.dir, 0, 0); err != 0 {
		goto fail
	}
	syscall.RawSyscall(unix.SYS_UMASK, 0o022, 0, 0)
	step = StepGroups
	if _, _, err = syscall.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(c.groups)), uintptr(unsafe.Pointer(unsafe.SliceData(c.groups))), 0); err != 0 {
		goto fail
	}
	step = StepGID
	if _, _, err = syscall.RawSyscall(unix.SYS_SETRESGID, c.gid, c.gid, c.gid); err != 0 {
		goto fail
	}
	step = StepUID
	if _, _, err = syscall.RawSyscall(unix.SYS_SETRESUID, c.uid, c.uid, c.uid); err != 0 {
		goto fail
	}
	step = StepCapset
	if _, _, err = syscall.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&c.capHeader)), uintptr(unsafe.Pointer(&c.capKeep)), 0); err != 0 {
		goto fail
	}
	if c.dieWith {
		// After the change of user, which clears it.
		syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&c.noSignals)), 0, sigsetSize, 0, 0)

	if c.nnp {
		// With no_new_privs the filter can be the last thing, and need not allow more than execve.
		step = StepCapset
		if _, _, err = syscall.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&c.capHeader)), uintptr(unsafe.Pointer(&c.capFinal)), 0); err != 0 {
			goto fail
		}
		step = StepNoNewPrivs
		if _, _, err = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); err != 0 {
			goto fail
		}
	}
	step = StepSeccomp
	if c.filter != nil {
		if _, _, err = syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(c.filter))); err != 0 {
			goto fail
		}
	}
	if !c.nnp {
		// Without it, SYS_ADMIN is what allows the filter, so it goes right after.
		step = StepCapset
		if _, _, err = syscall.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&c.capHeader)), uintptr(unsafe.Pointer(&c.capFinal)), 0); err != 0 {
			goto fail
		}
	}

	step = StepExec
	err = unix.ENOENT
	for i = 0; i < len(c.paths); i++ {
		_, _, err = syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(c.paths[i])), uintptr(unsafe.Pointer(unsafe.SliceData(c.argv))), uintptr(unsafe.Pointer(unsafe.SliceData(c.env))))
		if err != unix.EACCES && err != unix.ENOENT && err != unix.ENOTDIR {
			break
		}
	}

fail:
	rec[0], rec[1] = uint32(step), uint32(err)
	syscall.RawSyscall(unix.SYS_WRITE, c.report, uintptr(unsafe.Pointer(&rec)), unsafe.Sizeof(rec))
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 127, 0, 0)
	}
}

// vfork is clone3(2) that can return twice on one stack.
//
//go:noescape
func vfork(args unsafe.Pointer, size uintptr) (pid, errno uintptr)
