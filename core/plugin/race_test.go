package plugin

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const stranger = 1234

// swapper exchanges two names for each other until the test ends, as fast as it can.
func swapper(t *testing.T, a, b string) {
	t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
				t.Errorf("exchange %s and %s: %v", a, b, err)
				return
			}
		}
	})
	t.Cleanup(func() { close(stop); wg.Wait() })
}

// evil makes a plugin's directory of a stranger's, whose binary is another one.
func evil(t *testing.T, dir string, e *Entry) string {
	t.Helper()
	d := filepath.Join(dir, "evil")
	if err := os.Mkdir(d, 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, filepath.Join(e.Dir, "plugin.json"), filepath.Join(d, "plugin.json"))
	copyFile(t, "/bin/true", filepath.Join(d, e.Manifest.Exec))
	for _, name := range []string{"", "plugin.json", e.Manifest.Exec} {
		if err := os.Lchown(filepath.Join(d, name), stranger, stranger); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// TestSwapRace: while a stranger's file, directory or link changes place with the good one thousands of times, whatever
// the check lets through is the good one, and what is executed is what was let through.
func TestSwapRace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make what belongs to others")
	}
	for _, c := range []struct {
		name string
		pair func(t *testing.T, dir string, e *Entry) (a, b string)
	}{
		{"binary", func(t *testing.T, dir string, e *Entry) (string, string) {
			return exe(e), filepath.Join(evil(t, dir, e), e.Manifest.Exec)
		}},
		{"binary by a link", func(t *testing.T, dir string, e *Entry) (string, string) {
			link := filepath.Join(dir, "link")
			if err := os.Symlink(filepath.Join(evil(t, dir, e), e.Manifest.Exec), link); err != nil {
				t.Fatal(err)
			}
			return exe(e), link
		}},
		{"directory", func(t *testing.T, dir string, e *Entry) (string, string) { return e.Dir, evil(t, dir, e) }},
		{"directory by a link", func(t *testing.T, dir string, e *Entry) (string, string) {
			link := filepath.Join(dir, "link")
			if err := os.Symlink(evil(t, dir, e), link); err != nil {
				t.Fatal(err)
			}
			return e.Dir, link
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := place(t)
			e := install(t, dir, "good")
			a, b := c.pair(t, dir, e)
			swapper(t, a, b)
			checkWhileSwapped(t, e)
			runWhileSwapped(t, e)
		})
	}
}

func checkWhileSwapped(t *testing.T, e *Entry) {
	t.Helper()
	passed, refused := 0, 0
	for deadline := time.Now().Add(20 * time.Second); passed+refused < 5000 || (passed == 0 || refused == 0) && time.Now().Before(deadline); {
		f, err := open(e, 0, false)
		if err != nil {
			if !errors.Is(err, ErrRefused) {
				t.Fatal(err)
			}
			refused++
			continue
		}
		passed++
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Uid != 0 || st.Size < 1<<20 {
			t.Fatalf("let through: uid %d, %d bytes, %v", st.Uid, st.Size, err)
		}
		f.Close()
	}
	if passed == 0 || refused == 0 {
		t.Errorf("nothing raced: %d passed, %d refused", passed, refused)
	}
	t.Logf("%d passed, %d refused", passed, refused)
}

// runWhileSwapped executes what passes. The good binary exits with 64 when it has no cookie, /bin/true with 0.
func runWhileSwapped(t *testing.T, e *Entry) {
	t.Helper()
	c, err := confine(KindStage1, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for deadline := time.Now().Add(10 * time.Second); ran < 25 && (ran == 0 || time.Now().Before(deadline)); {
		f, err := open(e, 0, false)
		if err != nil {
			continue
		}
		ch, err := spawn(f, e, &c, Options{Kind: KindStage1}, nil)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		<-ch.exited
		ch.close()
		if code := ch.state.ExitCode(); code != 64 {
			t.Fatalf("exit status %d: another file was run", code)
		}
		ran++
	}
	t.Logf("%d executed", ran)
}

// A link at any place of the way is refused, wherever it leads.
func TestSymlinkAtEachLevel(t *testing.T) {
	for _, level := range []string{"a", "a/b", "a/b/fake", "a/b/fake/plugin.json", "a/b/fake/fake-good", "a/b/fake/helper"} {
		t.Run(level, func(t *testing.T) {
			dir := place(t)
			if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
				t.Fatal(err)
			}
			e := install(t, filepath.Join(dir, "a/b"), "good")
			e.Manifest.Programs = []string{"helper"}
			writeManifest(t, e.Dir, e.Manifest)
			copyFile(t, "/bin/true", filepath.Join(e.Dir, "helper"))
			e, err := OpenDir(e.Dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := Check(e, os.Geteuid(), false); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, level)
			if err := errors.Join(os.Rename(path, path+"-real"), os.Symlink(path+"-real", path)); err != nil {
				t.Fatal(err)
			}
			for _, insecure := range []bool{false, true} { // owners and modes are forgiven, links are not
				if err := Check(e, os.Geteuid(), insecure); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "symbolic link") {
					t.Errorf("insecure %v: %v", insecure, err)
				}
			}
			if _, err := Launch(t.Context(), e, options(dir, KindStage1)); !errors.Is(err, ErrRefused) {
				t.Errorf("launched: %v", err)
			}
			// Discovery reads through a link above; what it finds is refused all the same.
			for _, found := range Discover([]string{filepath.Join(dir, "a/b")}).Entries() {
				if found.Name == "fake" && Check(&found, os.Geteuid(), false) == nil {
					t.Errorf("%s is trusted", found.Dir)
				}
			}
			nothingLeft(t, dir)
		})
	}
}

// An access list that lets a user write shows in the group's bits, which hold its mask.
func TestAccessList(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := place(t)
	e := install(t, dir, "good")
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	for _, entry := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, 7, ^uint32(0)}, {0x02, 7, stranger}, {0x04, 5, ^uint32(0)}, {0x10, 7, ^uint32(0)}, {0x20, 5, ^uint32(0)}} {
		acl = binary.LittleEndian.AppendUint16(acl, entry.tag)
		acl = binary.LittleEndian.AppendUint16(acl, entry.perm)
		acl = binary.LittleEndian.AppendUint32(acl, entry.id)
	}
	for _, path := range []string{exe(e), e.Dir} {
		if err := unix.Setxattr(path, "system.posix_acl_access", acl, 0); err != nil {
			t.Skipf("no access lists here: %v", err)
		}
		if err := Check(e, 0, false); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "can be written by others") {
			t.Errorf("%s: %v", path, err)
		}
		if err := unix.Removexattr(path, "system.posix_acl_access"); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := Check(e, 0, false); err != nil {
		t.Error(err)
	}
}

// plugin.json is read by discovery before anything is checked. What is run is what the checked one names.
func TestManifestChangedSinceDiscovery(t *testing.T) {
	dir := place(t)
	e := install(t, dir, "good")
	other := *e.Manifest
	other.Exec = "fake-crash-start"
	writeManifest(t, e.Dir, &other)
	copyFile(t, exe(e), filepath.Join(e.Dir, other.Exec))
	if _, err := Launch(t.Context(), e, options(dir, KindStage1)); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "plugin.json is being replaced") {
		t.Error(err)
	}
	// Longer by what the parser does not mind is another one, too.
	writeManifest(t, e.Dir, e.Manifest)
	f, err := os.OpenFile(filepath.Join(e.Dir, "plugin.json"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(f, " ")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := Check(e, os.Geteuid(), false); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
}
