package unpack

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// Each archive is refused with an error that names what is wrong, or is harmless; nothing outside the directory
// changes in either case (the marker file beside it, and /etc/passwd where a name would reach it).
func TestHostile(t *testing.T) {
	long := strings.Repeat("n/", 2040) + strings.Repeat("x", 20)
	for _, c := range []struct {
		name    string
		entries []ent
		want    string // in the error; "" when it is taken
		check   func(t *testing.T, d string)
	}{
		{"parent", []ent{reg("../evil", "x")}, `"../evil": the name leaves the layer`, nil},
		{"parent, hidden", []ent{reg("a/../../evil", "x")}, "leaves the layer", nil},
		{"parent, after a slash", []ent{reg("/../evil", "x")}, "leaves the layer", nil},
		{"parent, harmless", []ent{reg("a/../b", "x")}, "", has("b")},
		{"absolute", []ent{reg("/etc/evil", "x"), dir("//etc//")}, "", has("etc/evil")},
		{"empty", []ent{reg("x", "").with(func(h *tar.Header) { h.Name = "." })}, "root of a layer must be a directory", nil},
		{"root a symlink", []ent{sym(".", "/etc")}, "root of a layer must be a directory", nil},
		{"root a symlink, slash", []ent{sym("/", "/etc"), reg("passwd", "x")}, "root of a layer must be a directory", nil},
		{"through absolute symlink", []ent{sym("l", "/etc"), reg("l/marker", "x")}, "", has("etc/marker")},
		{"through relative symlink", []ent{sym("l", "../../../.."), reg("l/marker", "x")}, "", has("marker")},
		{"through dangling symlink", []ent{sym("l", "../outside"), reg("l/marker", "x")}, "", has("outside/marker")},
		{"symlink loop", []ent{sym("a", "b"), sym("b", "a"), reg("a/x", "x")}, "more than 40 symlinks", nil},
		{"file onto symlink", []ent{sym("l", "../marker"), reg("l", "x")}, "", isType("l", 0)},
		{"file onto symlink to passwd", []ent{sym("l", "/etc/passwd"), reg("l", "x")}, "", isType("l", 0)},
		{"directory onto symlink", []ent{sym("l", ".."), dir("l"), reg("l/marker", "x")}, "", isType("l", fs.ModeDir)},
		{"mode through symlink", []ent{sym("l", "../marker"), link("h", "l")}, "", isType("h", fs.ModeSymlink)},
		{"hardlink outside", []ent{link("h", "../marker")}, "leaves the layer", nil},
		{"hardlink absolute", []ent{link("h", "/etc/passwd")}, "no such entry", nil},
		{"hardlink through symlink", []ent{sym("l", ".."), link("h", "l/marker")}, "no such entry", nil},
		{"hardlink to directory", []ent{dir("d"), link("h", "d")}, "directory or a whiteout", nil},
		{"hardlink to whiteout", []ent{reg(".wh.w", ""), link("h", "w")}, "directory or a whiteout", nil},
		{"hardlink to itself", []ent{reg("f", "x"), link("f", "f")}, "", has("f")},
		{"hardlink to root", []ent{link("h", "/")}, "the layer's root", nil},
		{"hardlink over its target's directory", []ent{reg("d/f", "x"), link("d", "d/f")}, "hardlink", nil},
		{"hardlink", []ent{reg("d/f", "x"), link("e/g", "d/f"), reg("d/f", "y")}, "", has("e/g")},
		{"whiteout of parent", []ent{reg("d/.wh...", "")}, "whiteout must name", nil},
		{"whiteout of itself", []ent{reg("d/.wh..", "")}, "whiteout must name", nil},
		{"whiteout of nothing", []ent{reg("d/.wh.", "")}, "whiteout must name", nil},
		{"whiteout device", []ent{dev("d", tar.TypeChar, 0, 0)}, "overlayfs's whiteout", nil},
		{"opaque root", []ent{reg(".wh..wh..opq", "")}, "", nil},
		{"device number", []ent{dev("d", tar.TypeChar, 1<<20, 3)}, "no device", nil},
		{"below a file", []ent{reg("f", "x"), reg("f/g", "x")}, "not a directory", nil},
		{"owner", []ent{reg("f", "").with(func(h *tar.Header) { h.Uid = -5; h.Format = tar.FormatGNU })}, "no owner", nil},
		{"long name", []ent{reg(long, "x")}, "the name has 4100 bytes", nil},
		{"longest name", []ent{reg(strings.TrimSuffix(long[10:], "xxxxx"), "x")}, "", nil},
		{"long part", []ent{reg(strings.Repeat("x", 256), "x")}, "a part of the name", nil},
		{"long through symlinks", []ent{dir(strings.Repeat(strings.Repeat("x", 200)+"/", 15)), sym("l", strings.Repeat(strings.Repeat("x", 200)+"/", 15)),
			reg("l/"+strings.Repeat(strings.Repeat("y", 200)+"/", 10)+"f", "x")}, "more than 4095 bytes", nil},
		{"control characters", []ent{reg("\x1b[2J/../../x", "x")}, `"\x1b[2J/../../x"`, nil},
		{"name like a journal line", []ent{reg("a\" \"b\nf 0", "x")}, "", has("a\" \"b\nf 0")},
		{"unknown type", []ent{reg("x", "").with(func(h *tar.Header) { h.Typeflag = 'Z' })}, "unknown type", nil},
		{"long symlink", []ent{sym("l", strings.Repeat("x", 5000))}, "symlink's target", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			passwd, err := os.ReadFile("/etc/passwd")
			if err != nil {
				t.Fatal(err)
			}
			blob := archive(t, append([]ent{dir("before")}, c.entries...)...)
			d, _, err := unpackTo(t, gz(t, blob), Limits{})
			base := filepath.Dir(d)
			left, _ := os.ReadDir(base)
			if len(left) != 2 {
				t.Errorf("outside the layer: %v", left)
			}
			if _, err := os.Lstat("/etc/marker"); err == nil {
				t.Error("the host's /etc was written to")
			}
			if after, _ := os.ReadFile("/etc/passwd"); !bytes.Equal(passwd, after) {
				t.Error("the host's /etc/passwd was written to")
			}
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %q, want %q", err, c.want)
			case c.want != "" && !errors.As(err, new(*LayerError)):
				t.Errorf("%v does not blame the layer", err)
			}
			if c.want == "" && err == nil && c.check != nil {
				c.check(t, d)
			}
		})
	}
}

func has(name string) func(*testing.T, string) {
	return func(t *testing.T, d string) {
		t.Helper()
		if b, err := os.ReadFile(filepath.Join(d, name)); err != nil || string(b) != "x" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func isType(name string, want fs.FileMode) func(*testing.T, string) {
	return func(t *testing.T, d string) {
		t.Helper()
		if fi, err := os.Lstat(filepath.Join(d, name)); err != nil || fi.Mode().Type() != want {
			t.Errorf("%s: %v, %v", name, fi, err)
		}
	}
}

func TestBadStreams(t *testing.T) {
	good := archive(t, reg("f", "hello"))
	zeros := make([]byte, 8<<20)
	var bomb bytes.Buffer
	fw, _ := flate.NewWriter(&bomb, flate.BestCompression)
	_, _ = fw.Write(zeros)
	_ = fw.Close()
	wide, err := zstd.NewWriter(nil, zstd.WithWindowSize(256<<20), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	var window bytes.Buffer
	wide.Reset(&window)
	_, _ = wide.Write(good)
	_ = wide.Flush()
	_, _ = wide.Write(good)
	_ = wide.Close()
	for _, c := range []struct {
		name string
		blob []byte
		lim  Limits
		want string
	}{
		{"truncated gzip", gz(t, good)[:40], Limits{}, "unexpected EOF"},
		{"gzip without its trailer", gz(t, good)[:len(gz(t, good))-4], Limits{}, "unexpected EOF"},
		{"gzip with a bad sum", flip(gz(t, good), -6), Limits{}, "checksum"},
		{"garbage behind gzip", append(gz(t, good), "garbage behind the end"...), Limits{}, "decompress"},
		{"truncated zstd", zst(t, good)[:30], Limits{}, "EOF"},
		{"garbage behind zstd", append(zst(t, good), "garbage"...), Limits{}, "decompress"},
		{"truncated tar", good[:514], Limits{}, "EOF"},
		{"no tar", []byte(strings.Repeat("not a tar archive ", 100)), Limits{}, "archive"},
		{"short no tar", []byte("hello"), Limits{}, "archive"},
		{"entries", archive(t, dir("a"), dir("b"), dir("c")), Limits{Entries: 2}, "more than 2 entries"},
		{"bytes", gz(t, archive(t, reg("f", string(zeros)))), Limits{Bytes: 1 << 20}, "bytes"},
		{"bytes of a claim", good, Limits{Bytes: 4}, "bytes"},
		{"ratio", gz(t, archive(t, reg("f", string(zeros)))), Limits{RatioFloor: 1 << 20, Ratio: 50}, "more than 50 times its size"},
		{"ratio behind the end", gz(t, append(bytes.Clone(good), zeros...)), Limits{RatioFloor: 1 << 20, Ratio: 50}, "more than 50 times"},
		{"names", archive(t, dir("aaaaaaaa"), dir("bbbbbbbb")), Limits{NameBytes: 10}, "bytes of names"},
		{"zstd window", window.Bytes(), Limits{ZstdWindow: 1 << 20}, "window"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := unpackTo(t, c.blob, c.lim)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	// What follows the end marker belongs to the digest and to nothing else.
	blob := append(bytes.Clone(good), bytes.Repeat([]byte("tail"), 1<<20)...)
	if _, res, err := unpackTo(t, gz(t, blob), Limits{}); err != nil || res.Entries != 1 || res.Bytes != int64(len(blob)) {
		t.Errorf("%+v, %v", res, err)
	}
	// An empty layer is one without entries.
	if _, res, err := unpackTo(t, gz(t, make([]byte, 1024)), Limits{}); err != nil || res.Entries != 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[len(b)+at] ^= 1
	return b
}

func TestSemantics(t *testing.T) {
	needRoot(t)
	capability := string([]byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	pax := func(kv ...string) func(*tar.Header) {
		return func(h *tar.Header) {
			h.PAXRecords = map[string]string{}
			for i := 0; i < len(kv); i += 2 {
				h.PAXRecords["SCHILY.xattr."+kv[i]] = kv[i+1]
			}
		}
	}
	owner := func(uid, gid int, mode int64) func(*tar.Header) {
		return func(h *tar.Header) { h.Uid, h.Gid, h.Mode = uid, gid, mode }
	}
	blob := archive(t,
		dir("./").with(owner(7, 8, 0o711)),
		reg("suid", "x").with(owner(5, 6, 0o6755)),
		reg("caps", "x").with(func(h *tar.Header) { owner(5, 6, 0o755)(h); pax("security.capability", capability)(h) }),
		reg("attrs", "x").with(pax("user.a", "b", "user.overlay.opaque", "y", "trusted.overlay.opaque", "y", "security.selinux", "z")),
		dir("sticky").with(owner(9, 9, 0o1777)),
		dir("closed").with(owner(9, 9, 0o000)),
		reg("closed/f", "x"),
		dev("null", tar.TypeChar, 1, 3).with(owner(1, 2, 0o640)),
		dev("disk", tar.TypeBlock, 259, 70000),
		dev("fifo", tar.TypeFifo, 0, 0),
		sym("link", "nowhere").with(owner(3, 4, 0o777)),
		// whiteouts, before and after what they name
		reg(".wh.gone", ""),
		reg(".wh.newdir", ""), reg("newdir/f", "x"),
		dir("olddir"), reg("olddir/f", "x"), reg(".wh.olddir", ""),
		reg(".wh.newfile", ""), reg("newfile", "x"),
		dir("opq"), reg("opq/.wh..wh..opq", ""), reg("opq/f", "x"),
		reg(".wh..wh.plnk", ""), reg(".wh..wh.aufs", ""),
		// replacement
		reg("was-dir/a/b", "x"), reg("was-dir", "x"),
		reg("was-file", "y"), dir("was-file"), reg("was-file/f", "x"),
		reg("zeros", string(make([]byte, 1<<20))),
	)
	d, res, err := unpackTo(t, blob, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		mode     uint32
		uid, gid uint32
		rdev     uint64
	}{
		{".", unix.S_IFDIR | 0o711, 7, 8, 0},
		{"suid", unix.S_IFREG | 0o6755, 5, 6, 0},
		{"caps", unix.S_IFREG | 0o755, 5, 6, 0},
		{"sticky", unix.S_IFDIR | 0o1777, 9, 9, 0},
		{"closed", unix.S_IFDIR, 9, 9, 0},
		{"closed/f", unix.S_IFREG | 0o644, 0, 0, 0},
		{"null", unix.S_IFCHR | 0o640, 1, 2, unix.Mkdev(1, 3)},
		{"disk", unix.S_IFBLK | 0o666, 0, 0, unix.Mkdev(259, 70000)},
		{"fifo", unix.S_IFIFO | 0o666, 0, 0, 0},
		{"link", unix.S_IFLNK | 0o777, 3, 4, 0},
		{"gone", unix.S_IFCHR, 0, 0, 0},
		{"newdir", unix.S_IFDIR | 0o755, 0, 0, 0},
		{"newfile", unix.S_IFREG | 0o644, 0, 0, 0},
		{"was-dir", unix.S_IFREG | 0o644, 0, 0, 0},
		{"was-file/f", unix.S_IFREG | 0o644, 0, 0, 0},
	} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(d, c.name), &st); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if st.Mode != c.mode || st.Uid != c.uid || st.Gid != c.gid || st.Rdev != c.rdev {
			t.Errorf("%s: mode %o owner %d:%d device %#x, want %+v", c.name, st.Mode, st.Uid, st.Gid, st.Rdev, c)
		}
		if c.name != "newdir" && c.name != "gone" && st.Mtim.Sec != epoch.Unix() {
			t.Errorf("%s: time %d", c.name, st.Mtim.Sec)
		}
	}
	for _, c := range []struct{ name, attr, want string }{
		{"caps", "security.capability", capability},
		{"attrs", "user.a", "b"},
		{"attrs", "user.overlay.opaque", ""},
		{"attrs", "trusted.overlay.opaque", ""},
		{"newdir", "trusted.overlay.opaque", "y"},
		{"olddir", "trusted.overlay.opaque", "y"},
		{"opq", "trusted.overlay.opaque", "y"},
		{"was-file", "trusted.overlay.opaque", ""},
		{"sticky", "trusted.overlay.opaque", ""},
	} {
		buf := make([]byte, 64)
		n, err := unix.Lgetxattr(filepath.Join(d, c.name), c.attr, buf)
		if err != nil {
			n = 0
		}
		if string(buf[:n]) != c.want {
			t.Errorf("%s of %s: %q, want %q", c.attr, c.name, buf[:n], c.want)
		}
	}
	for _, name := range []string{".wh.gone", ".wh..wh.plnk", ".wh..wh.aufs", "opq/.wh..wh..opq"} {
		if _, err := os.Lstat(filepath.Join(d, name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(d, "zeros"), &st); err != nil || st.Size != 1<<20 || st.Blocks != 0 {
		t.Errorf("zeros: size %d, %d blocks, %v", st.Size, st.Blocks, err)
	}
	found, err := Verify(context.Background(), d, filepath.Join(d, "../journal"), res.Journal, false)
	if err != nil || found != nil {
		t.Errorf("verify: %q, %v", found, err)
	}
}

// The confined child has what it needs and nothing else: seen through a /proc of its own it is asked about
// itself by a layer of a million entries, which it is busy with.
func TestConfinement(t *testing.T) {
	needRoot(t)
	base := t.TempDir()
	d := filepath.Join(base, "diff")
	if err := os.Mkdir(d, 0o755); err != nil {
		t.Fatal(err)
	}
	journal, err := os.Create(filepath.Join(base, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pr.Close()
	done := make(chan error, 1)
	go func() {
		_, err := Run(context.Background(), Job{Dir: d, Blob: pr, Journal: journal, Algorithm: "sha256"})
		done <- err
	}()
	// More than the first chunk, so that an entry is on disk; then the stream stops in the middle.
	blob := archive(t, reg("first", ""), reg("big", strings.Repeat("x", 3*chunkSize)))
	if _, err := pw.Write(blob[:2*chunkSize]); err != nil {
		t.Fatal(err)
	}
	pid := childOf(t, os.Getpid())
	for {
		if _, err := os.Lstat(filepath.Join(d, "first")); err == nil {
			break
		}
		select {
		case err := <-done:
			t.Fatal(err)
		default:
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var want uint64
	for _, c := range keepCaps {
		want |= 1 << c
	}
	for _, line := range []string{fmt.Sprintf("CapEff:\t%016x", want), fmt.Sprintf("CapPrm:\t%016x", want),
		"CapInh:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(string(status), line) && !cgo(pid) {
			t.Errorf("status lacks %q:\n%s", line, status)
		}
	}
	for _, ns := range []string{"mnt", "pid", "net", "ipc", "uts"} {
		ours, _ := os.Readlink("/proc/self/ns/" + ns)
		if theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns)); err != nil || ours == theirs {
			t.Errorf("namespace %s is shared: %v", ns, err)
		}
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil || bytes.Count(mounts, []byte("\n")) != 1 || !bytes.Contains(mounts, []byte("nosuid,nodev,noexec")) {
		t.Errorf("mounts: %s, %v", mounts, err)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
		if fi, err := os.Stat(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name())); err == nil && fi.IsDir() && to != "/" && to != d {
			t.Errorf("descriptor %s leads to %s", fd.Name(), to)
		}
	}
	env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if string(env) != envMark+"=1\x00" {
		t.Errorf("environment %q", env)
	}
	pw.Close()
	if err := <-done; err == nil {
		t.Error("half a layer was taken")
	}
}

// cgo says whether the binary is linked dynamically, where only one thread drops its capabilities.
func cgo(pid int) bool {
	maps, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	return bytes.Contains(maps, []byte("libc"))
}

func childOf(t *testing.T, parent int) int {
	t.Helper()
	for range 1_000_000 {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
		for _, f := range tasks {
			b, _ := os.ReadFile(f)
			var pid int
			if n, _ := fmt.Sscan(string(b), &pid); n == 1 {
				return pid
			}
		}
	}
	t.Fatal("no child")
	return 0
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: owners, devices and namespaces")
	}
}

func TestMillionEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	// A million names for one file: more than the limit that is given, refused when it is passed.
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range 100_001 {
		if err := w.WriteHeader(&tar.Header{Name: "f", Typeflag: tar.TypeDir, Mode: 0o755, Uid: i % 7}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err := unpackTo(t, zst(t, b.Bytes()), Limits{Entries: 100_000})
	if err == nil || !strings.Contains(err.Error(), "more than 100000 entries") {
		t.Error(err)
	}
}

func TestCancel(t *testing.T) {
	base := t.TempDir()
	d := filepath.Join(base, "diff")
	if err := os.Mkdir(d, 0o755); err != nil {
		t.Fatal(err)
	}
	journal, err := os.Create(filepath.Join(base, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	ctx, cancel := context.WithCancel(context.Background())
	read := make(chan struct{}, 1)
	go func() { <-read; cancel() }()
	_, err = Run(ctx, Job{Dir: d, Blob: endless{read}, Journal: journal, Algorithm: "sha256"})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type endless struct{ read chan struct{} }

func (e endless) Read(p []byte) (int, error) {
	select {
	case e.read <- struct{}{}:
	default:
	}
	clear(p)
	return len(p), nil
}
