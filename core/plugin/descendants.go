package plugin

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/launch"
)

// A plugin that forks and stays must not survive Close. How sure that is:
//
//   - fetcher, converter, verifier, started by root: certain. The plugin is init of a pid namespace, and the
//     kernel kills the namespace with its init.
//   - network, stage1, and every kind when rkt is a user: rkt is a child subreaper, so processes that lose their
//     parent become rkt's children and can be found. They are recognised by any of three marks: they were
//     below the plugin in the tree before it ended; they are in its session; their environment holds its private
//     directory. What has none of them (double fork, own session, another environment, all before Close) gets
//     away: it takes intent, and whoever could install such a plugin is root.
//
// rkt stays a subreaper until it ends or becomes a supervisor, which inherits the attribute through execve.

// becomeSubreaper makes this process adopt the orphans below it. It must happen before the fork.
func becomeSubreaper() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}

// children returns the children of every thread of pid ("self" for this process).
func children(pid string) []int {
	var out []int
	dir := "/proc/" + pid + "/task"
	tasks, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer tasks.Close()
	tids, _ := tasks.Readdirnames(-1)
	for _, tid := range tids {
		b, err := os.ReadFile(dir + "/" + tid + "/children")
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(f); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

// stray is a process below a plugin, held by a descriptor so that its number can mean no other.
type stray struct{ pid, pidfd int }

// tree returns all processes below pid. A plugin that has no children, which is the rule, costs a few reads.
func tree(pid int) []stray {
	var out []stray
	todo := []int{pid}
	const most = 4096
	for len(todo) > 0 && len(out) < most {
		parent := todo[0]
		todo = todo[1:]
		for _, child := range children(strconv.Itoa(parent)) {
			fd, err := unix.PidfdOpen(child, 0)
			if err != nil {
				continue
			}
			if parentOf(child) != parent { // the number was used anew between the list and the open
				unix.Close(fd)
				continue
			}
			out = append(out, stray{child, fd})
			todo = append(todo, child)
		}
	}
	return out
}

// parentOf reads the fourth field of stat; the second is in parentheses and may hold anything.
func parentOf(pid int) int {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return -1
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 2 {
		return -1
	}
	n, err := strconv.Atoi(fields[1])
	if err != nil {
		return -1
	}
	return n
}

// killStrays ends what is left of the plugin whose process was main (now reaped) and whose private directory
// was dir. before is the tree as it was while main lived.
func killStrays(main int, dir string, before []stray) {
	for _, s := range before {
		_ = unix.PidfdSendSignal(s.pidfd, unix.SIGKILL, nil, 0)
	}
	known := map[int]bool{}
	for _, s := range before {
		known[s.pid] = true
	}
	mark := []byte(launch.EnvSocketDir + "=" + dir)
	// Each pass kills what it finds; their children are adopted in turn and found by the next pass.
	for deadline := time.Now().Add(2 * time.Second); anyChild() && time.Now().Before(deadline); {
		found := false
		for _, pid := range children("self") {
			if !known[pid] && !inSession(pid, main) && !marked(pid, mark) {
				continue
			}
			found = true
			// An unreaped child's number is its own, so kill(2) is as good as a pidfd.
			_ = unix.Kill(pid, unix.SIGKILL)
			reap(pid, deadline)
		}
		if !found {
			break
		}
	}
	for _, s := range before {
		unix.Close(s.pidfd)
	}
}

// anyChild says whether this process has children at all, with one system call.
func anyChild() bool {
	err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err != unix.ECHILD
}

// inSession leaves out a process of that very number: it is a later one, and leads a session of its own.
func inSession(pid, sid int) bool {
	s, err := unix.Getsid(pid)
	return err == nil && s == sid && pid != sid
}

func marked(pid int, mark []byte) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	for _, v := range bytes.Split(b, []byte{0}) {
		if bytes.Equal(v, mark) {
			return true
		}
	}
	return false
}

// reap waits for a killed child. SIGKILL may take a moment for a process in the middle of a system call.
func reap(pid int, deadline time.Time) {
	for pause := 50 * time.Microsecond; time.Now().Before(deadline); pause = min(2*pause, 10*time.Millisecond) {
		got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
		if got == pid || err != nil && err != unix.EINTR {
			return
		}
		time.Sleep(pause)
	}
}
