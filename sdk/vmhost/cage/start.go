package cage

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Arg is the argument by which the supervisor's program becomes Main.
const Arg = "cage"

// Spec is a program and what it may see.
type Spec struct {
	Args []string `json:"args"` // Args[0] is an absolute path inside the cage
	Env  []string `json:"env,omitempty"`
	// Root is an empty directory of the host; the cage's root file system is mounted on it, for the program alone.
	Root    string   `json:"root"`
	Binds   []Bind   `json:"binds,omitempty"`
	Nodes   []Node   `json:"nodes,omitempty"`
	Cgroups []string `json:"cgroups,omitempty"` // directories to join
	Proc    bool     `json:"proc,omitempty"`    // it needs /proc, of its own pid namespace
	UID     int      `json:"uid"`               // and gid; 0 with Caps for what must act as other users
	Caps    uint64   `json:"caps,omitempty"`    // mask of what root keeps; without effect for others
	// Files is the most that it may have open; 0: as the supervisor.
	Files uint64 `json:"files,omitempty"`
	// OwnNetwork gives it an empty network namespace; else it has the calling thread's.
	OwnNetwork bool `json:"-"`
}

// Bind is a file or directory of the host.
type Bind struct {
	Source    string `json:"source"`
	Target    string `json:"target"` // absolute, in the cage
	Writable  bool   `json:"writable,omitempty"`
	Recursive bool   `json:"recursive,omitempty"`
}

// Node is a device, made in the cage for the program's user.
type Node struct {
	Path         string `json:"path"` // "/dev/kvm"
	Major, Minor uint32
	Block        bool `json:",omitempty"` // no character device
	ReadOnly     bool `json:",omitempty"`
}

// Process is a started program.
type Process struct {
	Pid   int
	pidfd int
	life  *os.File // the lifeline's other end

	reap   sync.Once
	status syscall.WaitStatus
	mu     sync.Mutex // guards pidfd against its reuse
	gone   bool
}

// Start starts the program with standard streams std (nil: /dev/null) and files, which it finds from descriptor 3
// on. The calling goroutine must be locked to its thread: the program dies with that.
func Start(s *Spec, std [3]*os.File, files []*os.File) (*Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	var fds []uintptr
	for _, f := range std {
		if f == nil {
			f = null
		}
		fds = append(fds, f.Fd())
	}
	for _, f := range files {
		fds = append(fds, f.Fd())
	}
	fds = append(fds, theirs.Fd()) // the last one, and it is told which
	flags := uintptr(unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS)
	if s.OwnNetwork {
		flags |= unix.CLONE_NEWNET
	}
	p := &Process{life: ours}
	p.Pid, err = syscall.ForkExec("/proc/self/exe", []string{"rkt-cage", Arg, strconv.Itoa(len(fds) - 1)}, &syscall.ProcAttr{
		Env: []string{"GOMAXPROCS=1", "GOTRACEBACK=single"}, Files: fds,
		Sys: &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL, PidFD: &p.pidfd, Setsid: true},
	})
	if err == nil && p.pidfd < 0 {
		err = errors.New("kernel gives no pidfd (Linux 5.4 or newer is needed)")
	}
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("start %s: %w", s.Args[0], err)
	}
	if err := json.NewEncoder(ours).Encode(s); err != nil {
		p.Kill()
		p.Wait()
		return nil, fmt.Errorf("start %s: %w", s.Args[0], err)
	}
	return p, nil
}

// Kill sends SIGKILL, by pidfd. The kernel then ends whatever the program has started.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		_ = unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0) // ESRCH: it has ended
	}
}

// Wait returns when the program has ended, and how.
func (p *Process) Wait() syscall.WaitStatus {
	p.reap.Do(func() {
		for {
			var ws unix.WaitStatus
			if _, err := unix.Wait4(p.Pid, &ws, 0, nil); !errors.Is(err, unix.EINTR) {
				p.status = syscall.WaitStatus(ws)
				break
			}
		}
		p.mu.Lock()
		p.gone = true
		unix.Close(p.pidfd)
		p.mu.Unlock()
		p.life.Close()
	})
	return p.status
}
