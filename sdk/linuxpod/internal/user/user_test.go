package user

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func root(t *testing.T, passwd, group string) int {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]string{"passwd": passwd, "group": group} {
		if s == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "owned"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(filepath.Join(dir, "owned"), 4242, 4343); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken\nalice:x:1000:1001:Alice,,,:/home/alice:/bin/bash\n1234:x:77:78::/srv:/bin/sh\nbob:x:9:9\nbad:x:-1:0::/:\nhuge:x:4294967295:0::/:\n"
	group  = "root:x:0:\nstaff:x:50:alice,bob\naudio:x:29:alice\nusers:x:100:\n"
)

func TestLookup(t *testing.T) {
	dir := root(t, passwd, group)
	for _, tc := range []struct {
		user, group string
		extra       []uint32
		want        ID
	}{
		{"", "", nil, ID{0, 0, nil, "root", "/root", "/bin/sh"}},
		{"root", "", nil, ID{0, 0, nil, "root", "/root", "/bin/sh"}},
		{"alice", "", nil, ID{1000, 1001, []uint32{29, 50}, "alice", "/home/alice", "/bin/bash"}},
		{"alice", "", []uint32{50, 7}, ID{1000, 1001, []uint32{7, 29, 50}, "alice", "/home/alice", "/bin/bash"}},
		{"1000", "", nil, ID{1000, 1001, []uint32{29, 50}, "alice", "/home/alice", "/bin/bash"}},
		{"alice:users", "", nil, ID{1000, 100, nil, "alice", "/home/alice", "/bin/bash"}},
		{"alice:5", "", nil, ID{1000, 5, nil, "alice", "/home/alice", "/bin/bash"}},
		{"alice:users", "staff", nil, ID{1000, 50, nil, "alice", "/home/alice", "/bin/bash"}},
		{"0:0", "", nil, ID{0, 0, nil, "root", "/root", "/bin/sh"}},
		{"1234", "", nil, ID{77, 78, nil, "1234", "/srv", "/bin/sh"}},
		{"5555", "", nil, ID{UID: 5555, Home: "/"}},
		{"5555:6666", "", []uint32{1}, ID{UID: 5555, GID: 6666, Groups: []uint32{1}, Home: "/"}},
		{"bob", "", nil, ID{9, 9, []uint32{50}, "bob", "/", ""}},
		{"/owned", "", nil, ID{UID: 4242, GID: 4343, Home: "/"}},
		{"/owned", "/owned", nil, ID{UID: 4242, GID: 4343, Home: "/"}},
	} {
		if strings.HasPrefix(tc.user, "/") && os.Geteuid() != 0 {
			continue
		}
		got, err := Lookup(dir, tc.user, tc.group, tc.extra)
		if err != nil || got.UID != tc.want.UID || got.GID != tc.want.GID || !slices.Equal(got.Groups, tc.want.Groups) ||
			got.Name != tc.want.Name || got.Home != tc.want.Home || got.Shell != tc.want.Shell {
			t.Errorf("Lookup(%q, %q, %v) = %+v, %v; want %+v", tc.user, tc.group, tc.extra, got, err, tc.want)
		}
	}
	for _, bad := range [][2]string{{"carol", ""}, {"-1", ""}, {"4294967295", ""}, {"99999999999", ""}, {"bad", ""}, {"huge", ""}, {"0", "nope"}, {"0:nope", ""}, {"/missing", ""}, {"/../../etc/shadow-not-here", ""}, {"0", "/missing"}} {
		if id, err := Lookup(dir, bad[0], bad[1], nil); err == nil {
			t.Errorf("Lookup(%q, %q) = %+v", bad[0], bad[1], id)
		}
	}
}

func TestLookupWithoutFiles(t *testing.T) {
	dir := root(t, "", "")
	for _, u := range []string{"", "0", "root", "0:0", "root:root"} {
		if id, err := Lookup(dir, u, "", nil); err != nil || id.UID != 0 || id.GID != 0 {
			t.Errorf("Lookup(%q) = %+v, %v", u, id, err)
		}
	}
}

// A passwd that is a link to the host's, absolute or upwards, is looked up inside the root.
func TestLinkStaysInside(t *testing.T) {
	for _, to := range []string{"/etc/passwd", "../../../../../../etc/passwd", "/proc/self/environ"} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, filepath.Join(dir, "etc/group")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, filepath.Join(dir, "etc/passwd")); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := Lookup(fd, "daemon", "", nil); err == nil {
			t.Errorf("link to %s: the host's daemon is %+v", to, id)
		}
		unix.Close(fd)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte(passwd))
	f.Add([]byte(group))
	f.Add([]byte(":::::::\n\x00:\xff:1:2\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range passwdLines(b) {
			if e.name == "" || e.uid == 1<<32-1 || e.gid == 1<<32-1 || strings.ContainsAny(e.name, ":\n") {
				t.Errorf("%+v", e)
			}
		}
		for _, g := range groupLines(b) {
			if g.name == "" || g.gid == 1<<32-1 || strings.ContainsAny(g.name, ":\n") {
				t.Errorf("%+v", g)
			}
		}
	})
}
