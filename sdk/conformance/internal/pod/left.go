package pod

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/testapp"
)

// Left are the processes that are the pod's: those whose environment or command line names its UUID, those of the
// supervisor's session, and those in its cgroup. Only root sees the environment of others.
func (p *Pod) Left() []int {
	var out []int
	members := p.members()
	procs, _ := filepath.Glob("/proc/[0-9]*")
	uuid := []byte(p.Doc.UUID)
	for _, dir := range procs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		cmd, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if bytes.Contains(env, uuid) || bytes.Contains(cmd, uuid) || p.inSession(dir) || slices.Contains(members, pid) {
			out = append(out, pid)
		}
	}
	return out
}

// IsApp says whether a process is an app's: it runs the kit's program.
func (p *Pod) IsApp(pid int) bool {
	b, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	argv0, _, _ := bytes.Cut(b, []byte{0})
	return filepath.Base(string(argv0)) == testapp.Name
}

func (p *Pod) inSession(dir string) bool {
	if p.cmd == nil {
		return false
	}
	b, err := os.ReadFile(filepath.Join(dir, "stat"))
	i := bytes.LastIndexByte(b, ')')
	if err != nil || i < 0 {
		return false
	}
	f := strings.Fields(string(b[i+1:]))
	return len(f) > 3 && f[3] == strconv.Itoa(p.Pid()) && f[0] != "Z"
}

func (p *Pod) killAll() {
	for _, pid := range p.Left() {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		if slices.Contains(p.Left(), pid) { // not used anew meanwhile
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		unix.Close(fd)
	}
}

// mounts are those at and below dir, in this namespace.
func mounts(dir string) string {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 4 && (f[4] == dir || strings.HasPrefix(f[4], dir+"/")) {
			out.WriteString(f[4] + "\n")
		}
	}
	return out.String()
}

// Mounts are the mounts at and below the pod directory.
func (p *Pod) Mounts() []string { return strings.Fields(mounts(p.Dir)) }

func unmount(dir string) {
	for _, m := range slices.Backward(strings.Fields(mounts(dir))) {
		_ = unix.Unmount(m, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
}
