package stage1

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// A status file may say any pid: whoever enters must not end up in a process of the host.
func TestOpenApp(t *testing.T) {
	p := startPod(t, poddir.App{Name: "a", Argv: []string{"/app", "sleep"}})
	waitReady(t, p)
	all, err := poddir.ReadStatus(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	app := all["a"]
	fd, pid, err := OpenApp(p.dir, "a")
	if err != nil || pid != app.Pid {
		t.Fatalf("process %d, %v, the app's is %d", pid, err, app.Pid)
	}
	defer unix.Close(fd)
	for name, c := range map[string]struct {
		app    string
		status poddir.AppStatus
	}{
		"another process":    {"a", poddir.AppStatus{State: poddir.AppRunning, Pid: os.Getpid()}},
		"the supervisor":     {"a", poddir.AppStatus{State: poddir.AppRunning, Pid: p.cmd.Process.Pid}},
		"no process":         {"a", poddir.AppStatus{State: poddir.AppRunning, Pid: 1 << 30}},
		"pid zero":           {"a", poddir.AppStatus{State: poddir.AppRunning}},
		"an app that ended":  {"a", poddir.AppStatus{State: poddir.AppExited, Pid: app.Pid}},
		"an app that is not": {"b", app},
	} {
		if err := poddir.WriteJSON(filepath.Join(p.dir, poddir.StatusDir), "a", c.status); err != nil {
			t.Fatal(err)
		}
		if _, pid, err := OpenApp(p.dir, c.app); err == nil {
			t.Errorf("%s: opened process %d", name, pid)
		}
	}
	if err := poddir.WriteJSON(filepath.Join(p.dir, poddir.StatusDir), "a", app); err != nil {
		t.Fatal(err)
	}
	p.cmd.Process.Kill()
	p.cmd.Wait()
	_, _, err = OpenApp(p.dir, "a")
	if e := (*plugin.Error)(nil); !errors.As(err, &e) || e.Reason != reason.PodNotRunning {
		t.Errorf("the pod has ended: %v", err)
	}
	if err := unix.PidfdSendSignal(fd, 0, nil, 0); err == nil {
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000); err != nil || n != 1 {
			t.Errorf("what was opened is not the app: %d, %v", n, err)
		}
	}
}
