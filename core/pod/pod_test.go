package pod

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

func open(t *testing.T) *Pods {
	t.Helper()
	pods := Open(t.TempDir())
	if err := pods.makeSections(); err != nil {
		t.Fatal(err)
	}
	return pods
}

func put(t *testing.T, pods *Pods, s Section, id, podJSON string) string {
	t.Helper()
	dir := pods.Dir(s, id)
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if podJSON != "" {
		if err := os.WriteFile(filepath.Join(dir, poddir.PodFile), []byte(podJSON), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func id(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", n) }

func TestStates(t *testing.T) {
	for _, c := range []struct {
		section      Section
		free, locked State
	}{
		{Embryo, StateEmbryo, StateEmbryo},
		{Prepare, StateAbortedPrepare, StatePreparing},
		{Prepared, StatePrepared, StatePreparing},
		{Run, StateExited, StateRunning},
		{ExitedGarbage, StateExitedGarbage, StateDeleting},
		{Garbage, StateGarbage, StateDeleting},
	} {
		t.Run(string(c.section), func(t *testing.T) {
			pods := open(t)
			put(t, pods, c.section, id(1), "")
			check := func(want State) {
				t.Helper()
				info, err := pods.Info(id(1))
				if err != nil || info.State != want {
					t.Fatalf("Info: %+v, %v, want %s", info, err, want)
				}
				list, err := pods.List()
				if err != nil || len(list) != 1 || list[0].State != want {
					t.Fatalf("List: %+v, %v, want %s", list, err, want)
				}
			}
			check(c.free)
			p, err := pods.Lock(id(1))
			if err != nil {
				t.Fatal(err)
			}
			check(c.locked)
			if _, err := pods.Lock(id(1)); !errors.Is(err, ErrLocked) {
				t.Errorf("second Lock: %v", err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			check(c.free)
		})
	}
}

func TestLife(t *testing.T) {
	pods := Open(t.TempDir()) // makes its sections itself
	p, err := pods.New()
	if err != nil {
		t.Fatal(err)
	}
	fill(p)
	var wrong *StateError
	for _, s := range []Section{Prepare, Prepared, Run} {
		if s != p.Section() {
			if err := p.MoveTo(s); err != nil {
				t.Fatal(err)
			}
		}
		if s == Prepared {
			if err := p.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(filepath.Join(p.Path(), poddir.PodFile)); err != nil {
			t.Errorf("in %s: %v", s, err)
		}
		if err := p.Delete(); !errors.As(err, &wrong) {
			t.Errorf("Delete in %s: %v", s, err)
		}
	}
	if err := p.MoveTo(ExitedGarbage); err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(); err != nil {
		t.Fatal(err)
	}
	p.Close()
	var gone *NotFoundError
	if _, err := pods.Lock(p.UUID); !errors.As(err, &gone) {
		t.Errorf("Lock after Delete: %v", err)
	}
	if _, err := pods.Info(p.UUID); !errors.As(err, &gone) {
		t.Errorf("Info after Delete: %v", err)
	}
	if err := pods.Wait(t.Context(), p.UUID); !errors.As(err, &gone) {
		t.Errorf("Wait after Delete: %v", err)
	}
}

// An empty or made-up UUID must not name, and lock, a section or something outside.
func TestNoUUID(t *testing.T) {
	pods := open(t)
	var gone *NotFoundError
	for _, s := range []string{"", ".", "..", "../run", "x", strings.ToUpper(id(0xabc)), id(1) + "/"} {
		if _, err := pods.Lock(s); !errors.As(err, &gone) {
			t.Errorf("Lock(%q): %v", s, err)
		}
		if _, err := pods.Info(s); !errors.As(err, &gone) {
			t.Errorf("Info(%q): %v", s, err)
		}
		if _, err := pods.Adopt(os.Stdin, s); err == nil {
			t.Errorf("Adopt(%q) succeeded", s)
		}
	}
}

func TestResolve(t *testing.T) {
	pods := open(t)
	put(t, pods, Run, "aaaa0000-0000-4000-8000-000000000000", "")
	put(t, pods, Prepared, "aaab0000-0000-4000-8000-000000000000", "")
	if err := os.Mkdir(pods.Dir(Run, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ in, want, err string }{
		{"aaaa", "aaaa0000-0000-4000-8000-000000000000", ""},
		{" AAAA0000\n", "aaaa0000-0000-4000-8000-000000000000", ""},
		{"aaab0000-0000-4000-8000-000000000000", "aaab0000-0000-4000-8000-000000000000", ""},
		{"aaa", "", `ambiguous uuid "aaa": it matches aaaa0000-0000-4000-8000-000000000000, aaab0000-0000-4000-8000-000000000000`},
		{"b", "", `no matches found for "b" (rkt list shows the pods)`},
		{"lost", "", `no matches found for "lost"`},
		{"", "", "empty"},
		{"  ", "", "empty"},
		{"../", "", "no matches found"},
	} {
		got, err := pods.Resolve(c.in)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("Resolve(%q) = %q, %v, want %q, %q", c.in, got, err, c.want, c.err)
		}
	}
}

// A damaged pod shows its error and hides nobody.
func TestListBroken(t *testing.T) {
	pods := open(t)
	good := `{"schema":1,"created":"2020-01-02T03:04:05Z","apps":[{"name":"a","env":[],"capabilities":[]}]}`
	put(t, pods, Run, id(1), good)
	put(t, pods, Run, id(2), "{")
	put(t, pods, Run, id(3), "")
	put(t, pods, Prepared, id(4), `{"apps": "none"}`)
	dir := put(t, pods, Run, id(5), good)
	for name, content := range map[string]string{poddir.RuntimeFile: "", poddir.ExitFile: "{]"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	// Not a directory: it cannot even be opened as a pod.
	if err := os.WriteFile(pods.Dir(Run, id(6)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := pods.List()
	if err != nil {
		t.Fatal(err)
	}
	broken := map[string]bool{}
	for _, i := range list {
		broken[i.UUID] = i.Err != nil
		if i.Err != nil && !strings.Contains(i.Err.Error(), i.UUID) {
			t.Errorf("the error does not name the pod: %v", i.Err)
		}
	}
	want := map[string]bool{id(1): false, id(2): true, id(3): false, id(4): true, id(5): true, id(6): true}
	if fmt.Sprint(broken) != fmt.Sprint(want) {
		t.Errorf("broken: %v, want %v", broken, want)
	}
}

func TestListOrder(t *testing.T) {
	pods := open(t)
	for n, created := range map[int]string{1: "2020-01-01T00:00:00Z", 2: "2021-01-01T00:00:00Z", 3: "2021-01-01T00:00:00Z", 4: "2019-01-01T00:00:00Z"} {
		put(t, pods, Prepared, id(n), `{"created":"`+created+`"}`)
	}
	list, err := pods.List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range list {
		got = append(got, i.UUID[7:8])
	}
	if s := strings.Join(got, ""); s != "2314" {
		t.Errorf("order %s, want 2314: youngest first, then by UUID", s)
	}
}

func TestListOfNothing(t *testing.T) {
	pods := Open(filepath.Join(t.TempDir(), "not", "there"))
	if list, err := pods.List(); err != nil || len(list) != 0 {
		t.Errorf("List: %v, %v", list, err)
	}
	var gone *NotFoundError
	if _, err := pods.Resolve("a"); !errors.As(err, &gone) {
		t.Errorf("Resolve: %v", err)
	}
}

// Pods that move forward while they are listed are each there, once.
func TestListWhileMoving(t *testing.T) {
	pods := open(t)
	const n = 40
	for i := range n {
		put(t, pods, Embryo, id(i), "")
	}
	done := make(chan error, 1)
	go func() {
		for _, s := range sections()[1:] {
			for i := range n {
				p, err := pods.Lock(id(i))
				if err == nil {
					err = p.MoveTo(s)
					p.Close()
				}
				if err != nil {
					done <- err
					return
				}
			}
		}
		done <- nil
	}()
	for {
		list, err := pods.List()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for _, i := range list {
			seen[i.UUID]++
			if i.Err != nil {
				t.Errorf("%s: %v", i.UUID, i.Err)
			}
		}
		for i := range n {
			if seen[id(i)] != 1 {
				t.Fatalf("pod %d is listed %d times", i, seen[id(i)])
			}
			if got, err := pods.Resolve(id(i)); err != nil || got != id(i) {
				t.Fatalf("Resolve: %q, %v", got, err)
			}
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}

func TestWait(t *testing.T) {
	pods := open(t)
	dir := filepath.Dir(pods.root)
	put(t, pods, Prepared, id(1), "{}")
	c := child(t, dir, "hold", id(1))
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if info, err := pods.Info(id(1)); err != nil || info.State != StateRunning {
		t.Fatalf("%+v, %v", info, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := pods.Wait(ctx, id(1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait for a running pod: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- pods.Wait(t.Context(), id(1)) }()
	select {
	case err := <-ended:
		t.Fatalf("Wait returned while the pod runs: %v", err)
	default:
	}
	in.Close()
	if err := <-ended; err != nil {
		t.Errorf("Wait: %v", err)
	}
	// Wait has let go of its own lock when it returns.
	p, err := pods.lockIn(Run, id(1))
	if err != nil {
		t.Errorf("Lock after Wait: %v", err)
	} else {
		p.Close()
	}
}

func TestAdopt(t *testing.T) {
	pods := open(t)
	p, err := pods.New()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	fill(p)
	if _, err := pods.Adopt(p.LockFile(), p.UUID); err == nil {
		t.Error("adopted a pod that does not run")
	}
	if err := p.MoveTo(Run); err != nil {
		t.Fatal(err)
	}
	put(t, pods, Run, id(7), "")
	if _, err := pods.Adopt(p.LockFile(), id(7)); err == nil {
		t.Error("adopted a pod by another's descriptor")
	}
	other, err := os.Open(p.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := pods.Adopt(other, p.UUID); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("adopted a pod whose lock somebody else holds: %v", err)
	}
	c := child(t, filepath.Dir(pods.root), "adopt", p.UUID)
	c.ExtraFiles = []*os.File{p.LockFile()}
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	var gone *NotFoundError
	if _, err := pods.Info(p.UUID); !errors.As(err, &gone) {
		t.Errorf("after the child's end: %v", err)
	}
}

// Delete takes what apps may leave and does not leave the pod's directory.
func TestDeleteStaysInside(t *testing.T) {
	pods := open(t)
	outside := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := put(t, pods, ExitedGarbage, id(1), "{}")
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	deep := dir
	for range 200 {
		deep = filepath.Join(deep, "d")
	}
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "closed"), 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := pods.Lock(id(1))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Delete(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
	if names, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(names) != 0 {
		t.Errorf("left: %v, %v", names, err)
	}
}

// A mount that somebody made below a pod is not emptied, and the pod stays whole enough to be removed later.
func TestDeleteStopsAtMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts need root")
	}
	pods := open(t)
	dir := put(t, pods, ExitedGarbage, id(1), "{}")
	at := filepath.Join(dir, "volumes")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, ""); err != nil {
		t.Skipf("mount tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
	if err := os.WriteFile(filepath.Join(at, "data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := pods.Lock(id(1))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Delete(); err == nil {
		t.Fatal("deleted through a mount")
	}
	for _, f := range []string{filepath.Join(at, "data"), filepath.Join(dir, poddir.PodFile)} {
		if _, err := os.Stat(f); err != nil {
			t.Error(err)
		}
	}
	if err := unix.Unmount(at, 0); err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(); err != nil {
		t.Error(err)
	}
}
