package supervise

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// The socket is its owner's alone from the moment on that it has a name, and files that are made beside it have the mode
// that the process's umask gives them: an umask for the socket's sake would be everybody's.
func TestListenMode(t *testing.T) {
	t.Chdir(t.TempDir())
	defer unix.Umask(unix.Umask(0o022))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := os.Mkdir("dir", 0o755); err != nil {
				t.Error(err)
				return
			}
			if fi, err := os.Stat("dir"); err != nil || fi.Mode().Perm() != 0o755 {
				t.Errorf("a directory made meanwhile: %v, %v", fi.Mode(), err)
				return
			}
			_ = os.Remove("dir")
		}
	}()
	for range 200 {
		r := &Reporter{events: make(chan event), done: make(chan struct{})}
		if err := r.listen(); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Lstat(poddir.ControlSock); err != nil || fi.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", fi.Mode(), err)
		}
	}
	close(stop)
	<-stopped
}
