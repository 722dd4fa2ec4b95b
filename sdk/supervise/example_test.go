package supervise_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// plain runs each app as a child, on the host's own files. A supervisor's main is one line:
//
//	func main() { os.Exit(supervise.Run(&plain{})) }
type plain struct {
	mu   sync.Mutex
	apps map[string]*os.Process
}

// Start starts the apps in order and says what becomes of each.
func (f *plain) Start(p *supervise.Pod, r *supervise.Reporter) error {
	f.apps = map[string]*os.Process{}
	for _, app := range p.Apps {
		cmd := exec.Command(app.Argv[0], app.Argv[1:]...)
		if err := cmd.Start(); err != nil {
			r.Exited(app.Name, supervise.Exit{Code: 127, Reason: err.Error()})
			continue
		}
		f.mu.Lock()
		f.apps[app.Name] = cmd.Process
		f.mu.Unlock()
		r.Started(app.Name, cmd.Process.Pid)
		go func() {
			_ = cmd.Wait()
			ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
			end := supervise.Exit{Code: ws.ExitStatus()}
			if ws.Signaled() {
				end = supervise.Exit{Signal: ws.Signal()}
			}
			r.Exited(app.Name, end)
		}()
	}
	r.Up()
	return nil
}

// Signal asks an app. One that has just ended is no error.
func (f *plain) Signal(app string, sig syscall.Signal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.apps[app]; p != nil {
		if err := p.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	return nil
}

// Kill ends whatever still runs.
func (f *plain) Kill() error {
	for name := range f.apps {
		if err := f.Signal(name, syscall.SIGKILL); err != nil {
			return err
		}
	}
	return nil
}

// What rkt does before it becomes the supervisor: the pod's documents are there, its directory is locked, and the
// lock's descriptor is named in the environment.
func Example() {
	dir, err := os.MkdirTemp("", "pod-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pod := poddir.Pod{Schema: poddir.Schema, Apps: []poddir.App{{Name: "hello", Argv: []string{"sh", "-c", "exit 3"}}}}
	if err := errors.Join(
		poddir.WriteJSON(dir, poddir.PodFile, pod),
		poddir.WriteJSON(dir, poddir.RuntimeFile, poddir.Runtime{Schema: poddir.Schema, GraceSeconds: 1}),
	); err != nil {
		log.Fatal(err)
	}
	lock, err := os.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	os.Setenv(launch.EnvFDs, launch.Format([]string{launch.FDLock}, launch.FDs{launch.FDLock: int(lock.Fd())}))

	fmt.Println("exit status", supervise.Run(&plain{}))
	status, err := poddir.ReadStatus(dir)
	fmt.Println(status["hello"].State, status["hello"].Code, err)
	// Output:
	// exit status 3
	// exited 3 <nil>
}
