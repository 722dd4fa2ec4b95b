package packaging

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// plugins are those that have a package.
func plugins() []string {
	return []string{"stage1-linux", "stage1-qemu", "stage1-lkvm", "fetcher-docker", "fetcher-aci", "verifier-openpgp", "network-cni"}
}

func names() []string {
	out := []string{"rkt", "rkt-dev"}
	for _, p := range plugins() {
		out = append(out, "rkt-"+p)
	}
	return out
}

// built makes all packages once, below a directory of the tests' own. dist must hold the binaries.
func built(t *testing.T) string {
	t.Helper()
	dir, err := once()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var once = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rkt-packages-")
	if err != nil {
		return "", err
	}
	return dir, build(dir, "packages-built")
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := once(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// build runs make with a staging area of its own: another test may be at it.
func build(out string, targets ...string) error {
	stage, err := os.MkdirTemp("", "rkt-stage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	args := append([]string{"-s", "-C", "../..", "OUT=" + out, "STAGE=" + stage}, targets...)
	if b, err := exec.Command("make", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("make %s: %w\n%s", strings.Join(args, " "), err, b)
	}
	return nil
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// one is the file of a package: "*_amd64.deb" or "*.rpm" of exactly this name.
func one(t *testing.T, dir, name, kind string) string {
	t.Helper()
	pattern := map[string]string{"deb": name + "_*.deb", "rpm": name + "-[0-9]*.rpm"}[kind]
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s of %s: %v (%v)", kind, name, found, err)
	}
	return found[0]
}

// TestReproducible: the same sources make the same packages, bit by bit.
func TestReproducible(t *testing.T) {
	first, second := built(t), t.TempDir()
	if err := build(second, "package-rkt", "package-rkt-dev", "package-rkt-stage1-qemu"); err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, sum := range sums(t, second) {
		if want := sums(t, first)[name]; sum != want {
			t.Errorf("%s: %s, at another time %s", name, want, sum)
		}
		n++
	}
	if n != 6 {
		t.Errorf("%d packages compared, want 6", n)
	}
}

// sums are the digests of all regular files below dir.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		out[strings.TrimPrefix(path, dir+"/")] = hex.EncodeToString(sum[:])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// unpacked are the files of all debs, and which package has each.
func unpacked(t *testing.T) (root string, owner map[string]string) {
	t.Helper()
	root, owner = t.TempDir(), map[string]string{}
	for _, name := range names() {
		deb := one(t, built(t), name, "deb")
		for path, e := range contents(t, deb) {
			if e.mode[0] == 'd' {
				continue
			}
			if other, ok := owner[path]; ok {
				t.Errorf("%s is in %s and in %s", path, other, name)
			}
			owner[path] = name
		}
		run(t, "dpkg-deb", "-x", deb, root)
	}
	return root, owner
}

type entry struct{ mode, owner string }

// contents lists a deb.
func contents(t *testing.T, deb string) map[string]entry {
	t.Helper()
	out := map[string]entry{}
	for line := range strings.Lines(run(t, "dpkg-deb", "-c", deb)) {
		f := strings.Fields(line)
		if path := strings.TrimSuffix(strings.TrimPrefix(f[5], "."), "/"); path != "" {
			out[path] = entry{f[0], f[1]}
		}
	}
	return out
}

// TestContents: nothing belongs to anybody but root, or can be written by others; each package has its licences.
func TestContents(t *testing.T) {
	for _, name := range names() {
		list := contents(t, one(t, built(t), name, "deb"))
		for path, e := range list {
			if e.owner != "root/root" {
				t.Errorf("%s: %s belongs to %s", name, path, e.owner)
			}
			if e.mode[0] != 'l' && (e.mode[5] == 'w' || e.mode[8] == 'w' || strings.ContainsAny(e.mode, "sStT")) {
				t.Errorf("%s: %s has mode %s", name, path, e.mode)
			}
		}
		for _, want := range []string{"copyright", "sbom.cdx.json"} {
			if path := "/usr/share/doc/" + name + "/" + want; list[path].mode == "" {
				t.Errorf("%s lacks %s", name, path)
			}
		}
	}
}

// TestNothingIsLost: the packages together are what make install installs, and their binaries are those of dist.
func TestNothingIsLost(t *testing.T) {
	root, owner := unpacked(t)
	installed := t.TempDir()
	run(t, "make", "-s", "-C", "../..", "install", "install-dev", "PREFIX=/usr", "DESTDIR="+installed)
	want, got := sums(t, installed), sums(t, root)
	for path, sum := range want {
		if strings.Contains(path, "/man/") {
			path += ".gz"
			sum = got[path] // compressed
		}
		if got[path] != sum || got[path] == "" {
			t.Errorf("/%s: the packages have %q of what make install installs, %q", path, got[path], sum)
		}
		delete(got, path)
	}
	for _, path := range slices.Sorted(maps.Keys(got)) {
		switch filepath.Base(path) {
		case "copyright", "sbom.cdx.json":
		default:
			t.Errorf("/%s (of %s) is not among what make install installs", path, owner["/"+path])
		}
	}
	for path, name := range owner {
		if rest, ok := strings.CutPrefix(path, "/usr/lib/rkt/plugins/"); ok {
			plugin, _, _ := strings.Cut(rest, "/")
			if name != "rkt-"+plugin {
				t.Errorf("%s is in %s", path, name)
			}
		}
	}
}

// TestRPMs: the rpms have what the debs have.
func TestRPMs(t *testing.T) {
	for _, name := range names() {
		rpm := one(t, built(t), name, "rpm")
		got := map[string]bool{}
		for line := range strings.Lines(run(t, "rpm", "-qp", "--qf", `[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]`, rpm)) {
			f := strings.Fields(line)
			if f[1] != "root/root" {
				t.Errorf("%s: %s belongs to %s", name, f[2], f[1])
			}
			if f[0][0] != 'd' {
				got[f[2]] = true
			}
		}
		for path, e := range contents(t, one(t, built(t), name, "deb")) {
			if e.mode[0] == 'd' || strings.HasPrefix(path, "/usr/share/zsh/vendor-completions/") { // Debian's
				continue
			}
			if !got[path] {
				t.Errorf("%s.rpm lacks %s", name, path)
			}
			delete(got, path)
		}
		for path := range got {
			t.Errorf("%s.deb lacks %s", name, path)
		}
	}
}
