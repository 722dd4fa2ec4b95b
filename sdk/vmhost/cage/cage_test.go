package cage

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Arg {
		fmt.Fprintln(os.Stderr, Main())
		os.Exit(254)
	}
	os.Exit(m.Run())
}

// run runs a shell script in a cage, and returns what it printed and how it ended.
func run(t *testing.T, s *Spec, script string, files ...*os.File) (string, syscall.WaitStatus) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: namespaces, mounts")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s.Args, s.Env, s.Root = []string{"/bin/sh", "-c", script}, []string{"PATH=/usr/bin:/bin"}, t.TempDir()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(s, [3]*os.File{nil, w, w}, files)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_, _ = io.Copy(&out, r)
	r.Close()
	return out.String(), p.Wait()
}

func TestCage(t *testing.T) {
	volume, given := t.TempDir(), filepath.Join(t.TempDir(), "given")
	if err := os.WriteFile(given, []byte("by descriptor\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(given)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := &Spec{
		UID: 1_900_000_000, Proc: true, OwnNetwork: true,
		Binds: []Bind{{Source: volume, Target: "/volume"}, {Source: given, Target: "/deep/file"}},
		Nodes: []Node{{Path: "/dev/kvm", Major: 10, Minor: 232}, {Path: "/guest/disk", Major: 7, Minor: 5, Block: true, ReadOnly: true}},
	}
	out, ws := run(t, s, `
		id -u; id -G; echo pid $$; cat <&3
		touch /volume/x 2>/dev/null && echo volume is writable
		cat /deep/file 2>/dev/null && echo a file of root is readable
		touch /x 2>/dev/null && echo root is writable
		ls /root /home /var 2>/dev/null && echo the host is there
		grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr -d '\t'
		ls /sys/class/net 2>/dev/null; stat -c '%t %T %u %F %a' /dev/kvm /guest/disk
		exit 5`, f)
	want := "1900000000\n1900000000\npid 1\nby descriptor\nCapEff:0000000000000000\nCapBnd:0000000000000000\nNoNewPrivs:1\na e8 1900000000 character special file 600\n7 5 1900000000 block special file 400\n"
	if out != want || ws.ExitStatus() != 5 {
		t.Errorf("status %d, %q\nwant %q", ws.ExitStatus(), out, want)
	}
}

// Root in a cage has the capabilities that were named, and what is read-only is so for it too.
func TestCageOfRoot(t *testing.T) {
	rw, ro := t.TempDir(), t.TempDir()
	s := &Spec{
		Proc: true, Caps: 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE,
		Binds: []Bind{{Source: rw, Target: "/rw", Writable: true}, {Source: ro, Target: "/ro"}},
	}
	out, ws := run(t, s, `
		touch /rw/x && chown 12:34 /rw/x || echo cannot write
		touch /ro/x 2>/dev/null && echo read-only is writable
		mount -t tmpfs t /rw 2>/dev/null && echo can mount
		grep -E '^Cap(Eff|Bnd)' /proc/self/status | tr -d '\t'`)
	if want := "CapEff:0000000000000003\nCapBnd:0000000000000003\n"; out != want || ws.ExitStatus() != 0 {
		t.Errorf("status %d, %q, want %q", ws.ExitStatus(), out, want)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(rw, "x"), &st); err != nil || st.Uid != 12 || st.Gid != 34 {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestCageFails(t *testing.T) {
	for _, c := range []struct {
		s    Spec
		want string
	}{
		{Spec{Binds: []Bind{{Source: "/does/not/exist", Target: "/x"}}}, "/does/not/exist"},
		{Spec{Binds: []Bind{{Source: "/usr", Target: "/x/../../y"}}}, "no clean path"},
		{Spec{Cgroups: []string{"/does/not/exist"}}, "join cgroup"},
	} {
		out, ws := run(t, &c.s, "echo ran")
		if ws.ExitStatus() != 254 || !strings.Contains(out, c.want) {
			t.Errorf("status %d, %q, want %q", ws.ExitStatus(), out, c.want)
		}
	}
}

func TestKill(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: namespaces, mounts")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, err := Start(&Spec{Args: []string{"/bin/sleep", "1000"}, Root: t.TempDir(), UID: 1_900_000_000}, [3]*os.File{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if ws := p.Wait(); ws.Signal() != unix.SIGKILL {
		t.Errorf("status %v", ws)
	}
	p.Kill() // what has been reaped is not signalled
}
