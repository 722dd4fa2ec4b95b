package plugin

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// limit is one rlimit, soft and hard alike.
type limit struct {
	resource int
	value    uint64
}

// limitsOf bounds a process that digests bytes of strangers. RLIMIT_DATA counts what Go's heap really maps, and
// not the terabytes that a runtime may reserve; NPROC counts threads of every fetcher of the machine.
func limitsOf(k Kind) []limit {
	ls := []limit{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_NOFILE, 1024},
		{unix.RLIMIT_NPROC, 4096},
		{unix.RLIMIT_DATA, 2 << 30},
	}
	if k == KindVerifier {
		ls = append(ls, limit{unix.RLIMIT_FSIZE, 0}) // it writes nothing
	} else {
		ls = append(ls, limit{unix.RLIMIT_FSIZE, 1 << 40})
	}
	return ls
}

// apply limits a child that has just been started. It has heard nothing of anybody yet: what it digests comes
// with an RPC.
//
// prlimit(2) on a process of another uid wants CAP_SYS_RESOURCE, which root in a container often lacks. Then a
// thread takes the child's uid for the moment of the call, and ends.
func (c *confinement) apply(pid int) error {
	err := c.prlimit(pid)
	if !errors.Is(err, unix.EPERM) || !c.changeUser {
		return err
	}
	res := make(chan error, 1)
	onThread(func() {
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(c.gid), uintptr(c.gid), uintptr(c.gid)); errno != 0 {
			res <- os.NewSyscallError("setresgid", errno)
			return
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(c.uid), uintptr(c.uid), uintptr(c.uid)); errno != 0 {
			res <- os.NewSyscallError("setresuid", errno)
			return
		}
		res <- c.prlimit(pid)
	})
	return <-res
}

func (c *confinement) prlimit(pid int) error {
	for _, l := range c.limits {
		var old unix.Rlimit
		if err := unix.Prlimit(pid, l.resource, nil, &old); err != nil {
			return os.NewSyscallError("prlimit", err)
		}
		v := min(l.value, old.Max)
		if err := unix.Prlimit(pid, l.resource, &unix.Rlimit{Cur: v, Max: v}, nil); err != nil {
			return os.NewSyscallError("prlimit", err)
		}
	}
	return nil
}
