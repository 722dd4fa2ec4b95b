package pod

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/netns"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/testapp"
)

// Pod is a pod directory and, once started, its supervisor.
type Pod struct {
	Dir     string
	Doc     poddir.Pod
	Runtime poddir.Runtime
	// Layer is the image's root: the kit's app and a few directories.
	Layer string

	lock  *os.File
	netns *os.File

	cmd    *exec.Cmd
	exited chan struct{}
	out    *stream
	stdin  io.WriteCloser
}

// UUID makes a random one.
func UUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// New makes a pod directory with a name of its own below base. flavor is the stage1's word.
func New(base, flavor, app string, apps ...poddir.App) (*Pod, error) {
	p := &Pod{Layer: filepath.Join(base, "layer")}
	uuid := UUID()
	p.Dir = filepath.Join(base, "pods", uuid)
	if err := layer(p.Layer, app); err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	for i := range apps {
		a := &apps[i]
		a.Rootfs = poddir.Rootfs{Layers: []string{p.Layer}}
		a.Env = append(a.Env, "RKT_CONFORMANCE="+uuid)
		if a.Capabilities == nil {
			a.Capabilities = []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETUID", "CAP_SETGID"}
		}
		if a.Seccomp.Mode == "" {
			a.Seccomp.Mode = poddir.SeccompDefault
		}
	}
	p.Doc = poddir.Pod{
		Schema: poddir.Schema, UUID: uuid, Hostname: "rkt-conformance", Created: time.Now(), Stage1: flavor, Apps: apps,
	}
	p.Runtime = poddir.Runtime{
		Schema: poddir.Schema, DataDir: base, Network: poddir.Network{Mode: poddir.NetworkNone}, GraceSeconds: 10,
		Cgroup: poddir.Cgroup{Skipped: map[string]string{"all": "the kit makes none"}},
	}
	var err error
	if p.netns, err = netns.New(); err != nil && os.Geteuid() == 0 {
		return nil, err
	}
	return p, errors.Join(os.MkdirAll(p.Dir, 0o750), p.Write())
}

// App is an app that runs the kit's program.
func App(name string, words ...string) poddir.App {
	return poddir.App{Name: name, Argv: append([]string{"/" + testapp.Name}, words...), NoNewPrivileges: true}
}

// layer is shared by the pods of one base.
func layer(dir, app string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	for _, d := range []string{"", "etc", "tmp", "proc", "sys", "dev", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(dir, "tmp"), 0o1777); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"etc/passwd": "root:x:0:0::/:/bin/none\napp:x:1000:1000::/:/bin/none\n", "etc/group": "root:x:0:\napp:x:1000:\n",
		"data/plain": "not a program\n", "data/image": "the image's\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if app == "" {
		return nil // nothing will be started
	}
	b, err := os.ReadFile(app)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, testapp.Name), b, 0o755)
}

// Write writes pod.json, runtime.json and etc/.
func (p *Pod) Write() error {
	etc := filepath.Join(p.Dir, poddir.EtcDir)
	return errors.Join(
		os.MkdirAll(etc, 0o755),
		os.WriteFile(filepath.Join(etc, "hostname"), []byte(p.Doc.Hostname+"\n"), 0o644),
		os.WriteFile(filepath.Join(etc, "hosts"), []byte("127.0.0.1 localhost "+p.Doc.Hostname+"\n"), 0o644),
		poddir.WriteJSON(p.Dir, poddir.PodFile, p.Doc), poddir.WriteJSON(p.Dir, poddir.RuntimeFile, p.Runtime),
	)
}

// lockLimit is how long Lock waits.
const lockLimit = 5 * time.Second

// Lock takes the pod's lock, which core holds from before Run until it has become the supervisor.
func (p *Pod) Lock() error {
	f, err := os.Open(p.Dir)
	if err != nil {
		return err
	}
	// A process that was killed lets go of it a moment after its end is seen.
	for deadline := time.Now().Add(lockLimit); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			p.lock = f
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			f.Close()
			return fmt.Errorf("lock pod: %w", err)
		}
	}
}

// Unlock gives it up.
func (p *Pod) Unlock() error {
	if p.lock == nil {
		return nil
	}
	err := p.lock.Close()
	p.lock = nil
	return err
}

// FDs are what core donates to the plugin.
func (p *Pod) FDs() []process.FD {
	if p.netns == nil {
		return nil
	}
	return []process.FD{{Name: launch.FDNetns, File: p.netns}}
}

// Locked says whether somebody holds the lock.
func (p *Pod) Locked() (bool, error) {
	f, err := os.Open(p.Dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// Has says whether a file of the pod directory is there.
func (p *Pod) Has(name string) bool {
	_, err := os.Lstat(filepath.Join(p.Dir, name))
	return err == nil
}

// Close ends whatever of the pod is left, and its mounts.
func (p *Pod) Close() error {
	if p.cmd != nil {
		p.Kill()
		p.stdin.Close()
		p.out.close()
	}
	p.killAll()
	unmount(p.Dir)
	p.dropCgroup(p.Runtime.Cgroup)
	err := p.Unlock()
	if p.netns != nil {
		err = errors.Join(err, p.netns.Close())
	}
	return err
}
