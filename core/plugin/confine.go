package plugin

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// How a plugin loses its privileges, by kind, when rkt is root:
//
//	            uid        capabilities       namespaces    no_new_privs  rlimits  Landlock
//	fetcher     rkt-fetch  none               pid           yes           yes      yes
//	converter   rkt-fetch  none               pid, net      yes           yes      yes
//	verifier    rkt-fetch  none               pid, net      yes           yes      yes
//	network     root       NET_ADMIN,         -             yes           -        -
//	                       SYS_ADMIN
//	stage1      root       the caller's       -             -             -        -
//
// When rkt is a user, uid and capabilities are the user's already and namespaces cannot be had; no_new_privs,
// rlimits and Landlock stay.
//
// os/exec can change the uid and make namespaces, but not drop capabilities from the bounding set, set
// no_new_privs or apply Landlock. All three belong to a thread, and a forked child inherits them from the
// thread that forks. So the fork is made by a thread that has given them up itself, and that thread is never
// used for anything else: the goroutine on it stays locked, and the runtime ends the thread with the goroutine.
//
// The pid namespace is what makes a fetcher's end certain: the kernel kills all of it with the plugin, which is
// its init. Network plugins and stage1s cannot have one: they talk of host pids (/proc/PID/ns/net).

// confinement is what a kind may keep.
type confinement struct {
	uid, gid   int
	changeUser bool
	namespaces uintptr
	keepCaps   []uintptr // nil: all
	noNewPrivs bool
	limits     []limit
	writable   []string // nil: no Landlock
}

// allowWriting completes what the plugin may write to, when that is limited: the directory of its socket, and what a
// fetcher or converter fills.
func (c *confinement) allowWriting(k Kind, socketDir string, more []string) {
	if c.writable == nil {
		return
	}
	c.writable = []string{socketDir}
	if k != KindVerifier {
		c.writable = append(c.writable, more...)
	}
}

// capability numbers, capability.h
const (
	capNetAdmin = 12
	capSysAdmin = 21
	capLast     = 63
)

func confine(k Kind, euid, egid int) (confinement, error) {
	uid, gid, err := Owner(k, euid, egid)
	if err != nil {
		return confinement{}, err
	}
	c := confinement{uid: uid, gid: gid}
	switch {
	case k == KindStage1:
		return c, nil
	case k == KindNetwork:
		c.noNewPrivs = true
		if euid == 0 {
			c.keepCaps = []uintptr{capNetAdmin, capSysAdmin}
		}
		return c, nil
	}
	c.noNewPrivs = true
	c.limits = limitsOf(k)
	c.writable = []string{}
	if euid == 0 {
		c.changeUser = true
		c.keepCaps = []uintptr{}
		c.namespaces = unix.CLONE_NEWPID
		if k != KindFetcher {
			c.namespaces |= unix.CLONE_NEWNET
		}
	}
	return c, nil
}

// onThread runs f on a thread of its own that no other goroutine will ever use again. The main thread cannot be
// thrown away, so f never gets it.
func onThread(f func()) {
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if unix.Gettid() != os.Getpid() {
			f()
			return
		}
		done := make(chan struct{})
		go func() { // this thread is taken until done, so that one is another
			runtime.LockOSThread()
			defer close(done)
			f()
		}()
		<-done
		runtime.UnlockOSThread()
	}()
}

// surrender gives up, on the calling thread, what its children shall not have and does not hinder the fork.
func (c *confinement) surrender() error {
	if c.noNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
	}
	if c.writable != nil {
		if err := landlock(c.writable); err != nil {
			return fmt.Errorf("restrict writing: %w", err)
		}
	}
	if c.keepCaps == nil {
		return nil
	}
	if err := dropBounding(c.keepCaps); err != nil && !c.changeUser {
		return fmt.Errorf("drop capabilities: %w", err)
	} // without CAP_SETPCAP the change of uid drops them, and no_new_privs keeps them away
	if c.changeUser {
		return nil // the others are needed for setgroups and clone, and end with setuid
	}
	return keepOnly(c.keepCaps)
}

func dropBounding(keep []uintptr) error {
	for n := uintptr(0); n <= capLast; n++ {
		if kept(keep, n) {
			continue
		}
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, n, 0, 0, 0)
		if err != nil {
			return nil // above the kernel's last
		}
		if has == 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, n, 0, 0, 0); err != nil {
			return err
		}
	}
	return nil
}

func kept(keep []uintptr, n uintptr) bool {
	for _, k := range keep {
		if k == n {
			return true
		}
	}
	return false
}

// keepOnly reduces the thread's permitted and effective sets. execve as root with no_new_privs gives no more
// than the old permitted set, whatever the bounding set holds.
func keepOnly(keep []uintptr) error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var old, data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &old[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	for _, n := range keep {
		bit := uint32(1) << (n % 32)
		data[n/32].Permitted |= old[n/32].Permitted & bit
		data[n/32].Effective |= old[n/32].Permitted & bit
	}
	return os.NewSyscallError("capset", unix.Capset(&hdr, &data[0]))
}

// sysProcAttr is the part that os/exec can do.
func (c *confinement) sysProcAttr() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true, Cloneflags: c.namespaces}
	if c.changeUser {
		attr.Credential = &syscall.Credential{Uid: uint32(c.uid), Gid: uint32(c.gid), Groups: []uint32{}}
	}
	if c.namespaces&unix.CLONE_NEWPID != 0 {
		// The spawning thread lives as long as rkt, so the signal means that rkt is gone. It is a second rope
		// beside the lifeline, for a plugin that was taken over. Others must end in order, with their children.
		attr.Pdeathsig = syscall.SIGKILL
	}
	return attr
}
