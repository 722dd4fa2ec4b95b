package cage

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxSpec bounds the description; it comes from the supervisor.
const maxSpec = 1 << 20

// Main is the program between clone and execve: root still, PID 1 of the new namespaces. It returns only what
// went wrong.
func Main() error {
	runtime.LockOSThread() // what is set from here on is this thread's, and the program's
	// The supervisor has another for the moment in which it binds a socket, and may have forked in that one.
	unix.Umask(0o022)
	life, err := lifeline(os.Args)
	if err != nil {
		return err
	}
	b, err := bufio.NewReader(io.LimitReader(life, maxSpec)).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read what to start: %w", err)
	}
	s := new(Spec)
	if err := json.Unmarshal(b, s); err != nil {
		return fmt.Errorf("read what to start: %w", err)
	}
	// The memory that it will have, and the processes it will be, count where the pod's do.
	for _, dir := range s.Cgroups {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("join cgroup: %w", err)
		}
	}
	if err := s.enter(); err != nil {
		return err
	}
	if s.Files > 0 {
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: s.Files, Max: s.Files}) // as much as we may
	}
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // a guest's memory is nobody's to read
	if err := s.drop(); err != nil {
		return err
	}
	// A change of user has cleared it.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("set parent death signal: %w", err)
	}
	poll := []unix.PollFd{{Fd: int32(life.Fd())}}
	if _, err := unix.Poll(poll, 0); err == nil && poll[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0 {
		return errors.New("the supervisor has ended")
	}
	runtime.KeepAlive(life)
	return fmt.Errorf("run %s: %w", s.Args[0], syscall.Exec(s.Args[0], s.Args, s.Env))
}

// lifeline opens the pipe, the highest of the descriptors that are ours. All below it stay for the program.
func lifeline(args []string) (*os.File, error) {
	if len(args) != 3 {
		return nil, errors.New("a caged program is started by a supervisor, not by hand")
	}
	fd, err := strconv.Atoi(args[2])
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("descriptor %q is no lifeline", args[2])
	}
	// Whatever else should be open by accident does not pass.
	if err := unix.CloseRange(uint(fd), math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, fmt.Errorf("close descriptors: %w", err)
	}
	return os.NewFile(uintptr(fd), "lifeline"), nil
}

// enter builds the root file system and makes it the process's.
func (s *Spec) enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	root, err := filepath.Abs(s.Root)
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", root, "tmpfs", unix.MS_NOSUID, "mode=0755,size=1m"); err != nil {
		return fmt.Errorf("mount root of %s: %w", s.Args[0], err)
	}
	for _, b := range append(hostLibraries(), s.Binds...) {
		if err := b.mount(root); err != nil {
			return err
		}
	}
	if err := s.devices(root); err != nil {
		return err
	}
	if s.Proc {
		dir := filepath.Join(root, "proc")
		if err := os.MkdirAll(dir, 0o555); err != nil {
			return err
		}
		if err := unix.Mount("proc", dir, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return fmt.Errorf("mount /proc of %s: %w", s.Args[0], err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "tmp"), 0o1777); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o1777); err != nil { // whatever the umask is
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("enter root of %s: %w", s.Args[0], err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the host's root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	return unix.Sethostname([]byte("rkt-vmm"))
}

// hostLibraries is what any program of the host needs to be executed. Where /lib is a link into /usr, it is one here.
func hostLibraries() []Bind {
	out := []Bind{{Source: "/usr", Target: "/usr"}}
	for _, d := range []string{"/lib", "/lib64", "/lib32", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"} {
		if _, err := os.Lstat(d); err == nil {
			out = append(out, Bind{Source: d, Target: d})
		}
	}
	return out
}

func (b Bind) mount(root string) error {
	st, err := os.Lstat(b.Source)
	if err != nil {
		return fmt.Errorf("show %s to the program: %w", b.Source, err)
	}
	if !strings.HasPrefix(b.Target, "/") || filepath.Clean(b.Target) != b.Target {
		return fmt.Errorf("show %s to the program: %q is no clean path", b.Source, b.Target)
	}
	target := filepath.Join(root, b.Target)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if st.Mode()&os.ModeSymlink != 0 && b.Source == b.Target {
		to, err := os.Readlink(b.Source)
		if err != nil {
			return err
		}
		return os.Symlink(to, target)
	}
	if st, err = os.Stat(b.Source); err != nil {
		return fmt.Errorf("show %s to the program: %w", b.Source, err)
	}
	if st.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else {
		err = os.WriteFile(target, nil, 0o644)
	}
	if err != nil {
		return err
	}
	flags := uintptr(unix.MS_BIND)
	at := 0
	if b.Recursive {
		flags |= unix.MS_REC
		at = unix.AT_RECURSIVE
	}
	if err := unix.Mount(b.Source, target, "", flags, ""); err != nil {
		return fmt.Errorf("show %s to the program: %w", b.Source, err)
	}
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	if !b.Writable {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(-1, target, uint(at), attr); err != nil { // since Linux 5.12
		return fmt.Errorf("restrict %s: %w", b.Source, err)
	}
	return nil
}

// devices makes nodes of the program's own: it need not be in the groups that the host's udev has chosen.
func (s *Spec) devices(root string) error {
	nodes := append([]Node{
		{Path: "/dev/null", Major: 1, Minor: 3}, {Path: "/dev/zero", Major: 1, Minor: 5},
		{Path: "/dev/random", Major: 1, Minor: 8}, {Path: "/dev/urandom", Major: 1, Minor: 9},
	}, s.Nodes...)
	for _, n := range nodes {
		path := filepath.Join(root, n.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		mode := uint32(unix.S_IFCHR | 0o600)
		if n.Block {
			mode = unix.S_IFBLK | 0o600
		}
		if n.ReadOnly {
			mode &^= 0o200
		}
		if err := unix.Mknod(path, mode, int(unix.Mkdev(n.Major, n.Minor))); err != nil {
			return fmt.Errorf("make %s: %w", n.Path, err)
		}
		if err := os.Chown(path, s.UID, s.UID); err != nil {
			return err
		}
	}
	return nil
}

// drop gives privileges up, for good.
func (s *Spec) drop() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	last, err := lastCap()
	if err != nil {
		return err
	}
	for c := 0; c <= last; c++ {
		if s.Caps&(1<<c) == 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
				return fmt.Errorf("drop capability %d: %w", c, err)
			}
		}
	}
	if err := syscall.Setgroups([]int{}); err != nil {
		return fmt.Errorf("drop groups: %w", err)
	}
	if s.UID == 0 {
		return s.keep()
	}
	if err := syscall.Setresgid(s.UID, s.UID, s.UID); err != nil {
		return fmt.Errorf("become group %d: %w", s.UID, err)
	}
	if err := syscall.Setresuid(s.UID, s.UID, s.UID); err != nil {
		return fmt.Errorf("become user %d: %w", s.UID, err)
	}
	return nil
}

// keep leaves root with the capabilities that were named.
func (s *Spec) keep() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for i := range data {
		mask := uint32(s.Caps >> (32 * i))
		data[i] = unix.CapUserData{Effective: mask, Permitted: mask}
	}
	if err := unix.Capset(&head, &data[0]); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	return nil
}

// lastCap is the highest capability that this kernel can know of; the cage's /proc may not be mounted.
func lastCap() (int, error) {
	for c := 63; c >= 0; c-- {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0); err == nil {
			return c, nil
		}
	}
	return 0, errors.New("find last capability: the kernel knows none, not even " + strconv.Itoa(unix.CAP_CHOWN))
}
