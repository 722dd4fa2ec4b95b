package testapp

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Report is what a process sees of its surroundings.
type Report struct {
	Tag        string
	Args       []string
	Env        []string
	Dir        string
	Pid        int
	UID, GID   int
	Groups     []int
	Hostname   string
	FDs        []string          // "0 /dev/null": open ones, with what they are
	Root       []string          // names in /
	Processes  []int             // of /proc
	Status     map[string]string // of /proc/self/status: CapEff, CapBnd, Seccomp, NoNewPrivs and the like
	Namespaces map[string]string // "net" -> "net:[4026531840]"
	Boot       string            // of the kernel that it runs on
	Cgroup     string            // /proc/self/cgroup
	Links      []string          // network links
	Stdin      string            // kind of file: "null", "tty", "pipe", "file", "other"
	Kcore      string            // what became of looking at /proc/kcore
	SysWrite   string            // and of writing to /proc/sys/kernel/hostname
}

// BootID tells one running kernel from another: namespaces of two may have the same number.
const BootID = "/proc/sys/kernel/random/boot_id"

// Look collects a Report.
func Look(tag string) Report {
	r := Report{
		Tag: tag, Args: os.Args, Env: os.Environ(), Pid: os.Getpid(), UID: os.Getuid(), GID: os.Getgid(),
		Status: map[string]string{}, Namespaces: map[string]string{}, Stdin: kind(0),
	}
	boot, _ := os.ReadFile(BootID)
	r.Boot = string(boot)
	r.Dir, _ = os.Getwd()
	r.Groups, _ = os.Getgroups()
	r.Hostname, _ = os.Hostname()
	r.FDs = open()
	r.Root = list("/")
	for _, name := range list("/proc") {
		if pid, err := strconv.Atoi(name); err == nil {
			r.Processes = append(r.Processes, pid)
		}
	}
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch k {
		case "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Groups", "Umask":
			r.Status[k] = strings.TrimSpace(v)
		}
	}
	for _, name := range list("/proc/self/ns") {
		r.Namespaces[name], _ = os.Readlink(filepath.Join("/proc/self/ns", name))
	}
	b, _ = os.ReadFile("/proc/self/cgroup")
	r.Cgroup = string(b)
	r.Links = list("/sys/class/net")
	r.Kcore = outcome(readable("/proc/kcore"))
	r.SysWrite = outcome(writable("/proc/sys/kernel/hostname"))
	return r
}

func list(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	slices.Sort(names)
	return names
}

// open asks for each number: the runtime's own descriptors are close-on-exec, and what was inherited is not.
func open() []string {
	var out []string
	for fd := range 256 {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue
		}
		to, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err != nil {
			to = "?"
		}
		out = append(out, strconv.Itoa(fd)+" "+to)
	}
	return out
}

func kind(fd int) string {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err.Error()
	}
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
		return "tty"
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		if st.Rdev == unix.Mkdev(1, 3) {
			return "null"
		}
	case unix.S_IFIFO, unix.S_IFSOCK:
		return "pipe"
	case unix.S_IFREG:
		return "file"
	}
	return "other"
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [1]byte
	_, err = f.Read(b[:])
	return err
}

func writable(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		f.Close()
	}
	return err
}

func outcome(err error) string {
	if err == nil {
		return "done"
	}
	return err.Error()
}
