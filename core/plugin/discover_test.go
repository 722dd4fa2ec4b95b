package plugin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/manifest"
)

func mkfifo(path string) error { return unix.Mkfifo(path, 0o755) }

// tree makes plugin directories: "dir/name" -> content of plugin.json, "-> target" for a symlink.
func makeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	base := t.TempDir()
	for name, content := range files {
		path := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			if err := os.Symlink(to, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if content == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(path, manifest.FileName), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return base
}

func stage1JSON(name, flavor string) string {
	return fmt.Sprintf(`{"schema":1,"name":%q,"version":"1.0","exec":"x","future":{"a":1},"provides":[{"service":"rkt.stage1","protocols":[1],"flavor":%q,"new":true},{"service":"rkt.tomorrow"}]}`, name, flavor)
}

func fetcherJSON(name, scheme string) string {
	return fmt.Sprintf(`{"schema":1,"name":%q,"version":"1.0","exec":"x","provides":[{"service":"rkt.fetcher","protocols":[1],"schemes":[%q],"media_types":["t/%s"],"capabilities":["convert"]}]}`, name, scheme, scheme)
}

func TestDiscover(t *testing.T) {
	base := makeTree(t, map[string]string{
		"a/stage1-linux":        stage1JSON("stage1-linux", "linux"),
		"a/fetcher-docker":      "{broken",
		"a/fetcher-aci":         "-> /dev/null",
		"a/.hidden":             "{}",
		"b/stage1-linux":        stage1JSON("stage1-linux", "linux"),
		"b/fetcher-docker":      fetcherJSON("fetcher-docker", "docker"),
		"b/fetcher-aci":         fetcherJSON("fetcher-aci", "aci"),
		"b/stage1-qemu":         `{"schema":1,"name":"stage1-qemu","masked":true}`,
		"b/linked":              "-> ../a/stage1-linux",
		"c/stage1-qemu":         stage1JSON("stage1-qemu", "qemu"),
		"c/wrong-name":          stage1JSON("other", "x"),
		"c/empty":               "",
		"c/future":              `{"schema":2,"name":"future"}`,
		"c/slash":               `{"schema":1,"name":"slash","exec":"../../bin/sh","provides":[{"service":"rkt.stage1","protocols":[1]}]}`,
		"c/Bad Name":            `{"schema":1,"name":"Bad Name"}`,
		"c/mask2/plugin.json/x": "", // plugin.json is a directory
	})
	if err := os.WriteFile(filepath.Join(base, "c/README"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dirs := []string{base + "/a", base + "/none", base + "/b", base + "/c"}
	s := Discover(dirs)
	var got []string
	for _, e := range s.Entries() {
		rel, _ := filepath.Rel(base, e.Dir)
		line := rel
		switch {
		case e.Err != nil:
			line += " error"
		case e.ShadowedBy != "":
			by, _ := filepath.Rel(base, e.ShadowedBy)
			line += " shadowed by " + by
		case e.Masked:
			line += " masks"
		}
		got = append(got, line)
	}
	want := []string{
		"c/Bad Name error", "c/empty error",
		"a/fetcher-aci masks", "b/fetcher-aci shadowed by a/fetcher-aci",
		"a/fetcher-docker error", "b/fetcher-docker", // the broken one hides nothing
		"c/future error", "b/linked error", "c/mask2 error", "c/slash error",
		"a/stage1-linux", "b/stage1-linux shadowed by a/stage1-linux",
		"b/stage1-qemu masks", "c/stage1-qemu shadowed by b/stage1-qemu",
		"c/wrong-name error",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	if e, err := s.Fetcher("docker"); err != nil || e.Dir != base+"/b/fetcher-docker" {
		t.Errorf("%v, %v", e, err)
	}
	_, err := s.Fetcher("aci")
	for _, part := range []string{`no plugin provides image scheme "aci"`, base + "/none", "fetcher-aci is masked by " + base + "/a/fetcher-aci", "install the package rkt-fetcher-aci"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v\nsays nothing of %q", err, part)
		}
	}
	if !errors.Is(err, ErrMissing) {
		t.Error("not ErrMissing")
	}
	if e, err := s.Converter("t/docker"); err != nil || e.Name != "fetcher-docker" {
		t.Errorf("%v, %v", e, err)
	}
}

func TestMissing(t *testing.T) {
	_, err := Discover([]string{"/a", "/b"}).Fetcher("docker")
	want := `no plugin provides image scheme "docker": looked in /a, /b; install the package rkt-fetcher-docker`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	// No package is made up for a vendor's scheme.
	if _, err := Discover([]string{"/a"}).Fetcher("s3"); err == nil || err.Error() != `no plugin provides image scheme "s3": looked in /a` {
		t.Error(err)
	}
	if vs := Discover(nil).Verifiers("x"); len(vs) != 0 {
		t.Error(vs)
	}
	if _, err := Discover(nil).Network(); !errors.Is(err, ErrMissing) {
		t.Error(err)
	}
}

func TestStage1(t *testing.T) {
	base := makeTree(t, map[string]string{
		"a/stage1-linux": stage1JSON("stage1-linux", "linux"),
		"b/stage1-acme":  stage1JSON("stage1-acme", "qemu"),
		"c/stage1-xen":   stage1JSON("stage1-xen", "xen"),
		"b/fetcher-x":    fetcherJSON("fetcher-x", "x"),
		"dev/anything":   stage1JSON("stage1-dev", "dev"),
	})
	one, two := Discover([]string{base + "/a"}), Discover([]string{base + "/a", base + "/b"})
	others := Discover([]string{base + "/b", base + "/c"})
	for _, c := range []struct {
		set    *Set
		choice string
		want   string // name, or a part of the error after "!"
	}{
		{one, "", "stage1-linux"},
		{one, "linux", "stage1-linux"},
		{one, "stage1-linux", "stage1-linux"},
		{two, "qemu", "stage1-acme"},
		{two, "", "stage1-linux"},
		{others, "", "!several stage1 plugins are installed: qemu = stage1-acme 1.0 (" + base + "/b/stage1-acme), xen = stage1-xen"},
		{two, "lkvm", `!no plugin provides stage1 flavor "lkvm": looked in`},
		{two, "lkvm", "!install the package rkt-stage1-lkvm; installed: linux ="},
		{two, "linus", `!no plugin provides stage1 flavor "linus": looked in ` + base + "/a, " + base + "/b; installed: linux ="},
		{two, "../../etc", "!no plugin provides stage1 flavor"},
		{two, base + "/dev/anything", "stage1-dev"},
		{two, base + "/b/fetcher-x", "!it provides no rkt.stage1"},
		{two, base + "/none", "!open plugin " + base + "/none"},
		{Discover(nil), "", "!install the package rkt-stage1-linux"},
	} {
		e, err := c.set.Stage1(c.choice)
		if msg, wantErr := strings.CutPrefix(c.want, "!"); wantErr {
			if err == nil || !strings.Contains(err.Error(), msg) {
				t.Errorf("%q: %v, want %q", c.choice, err, msg)
			}
		} else if err != nil || e.Name != c.want {
			t.Errorf("%q: %v, %v", c.choice, e, err)
		}
	}
}

// A mask hides its name in all later directories and in no earlier one, in each of its three forms; by no other way is
// the plugin had again, but by another name.
func TestMaskHides(t *testing.T) {
	for form, mask := range map[string]map[string]string{
		"link":      {"b/stage1-qemu": "-> /dev/null"},
		"manifest":  {"b/stage1-qemu/plugin.json": "-> /dev/null"},
		"statement": {"b/stage1-qemu": `{"schema":1,"name":"stage1-qemu","masked":true}`},
	} {
		t.Run(form, func(t *testing.T) {
			files := map[string]string{
				"a/other":       stage1JSON("other", "xen"),
				"c/stage1-qemu": stage1JSON("stage1-qemu", "qemu"),
				"d/stage1-qemu": stage1JSON("stage1-qemu", "qemu"),
			}
			for name, content := range mask {
				files[name] = content
			}
			base := makeTree(t, files)
			s := Discover([]string{base + "/a", base + "/b", base + "/c", base + "/d"})
			for _, choice := range []string{"qemu", "stage1-qemu"} {
				if e, err := s.Stage1(choice); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "stage1-qemu is masked by "+base+"/b/stage1-qemu") {
					t.Errorf("--stage1=%s: %v, %v", choice, e, err)
				}
			}
			if e, err := s.Stage1(""); err != nil || e.Name != "other" {
				t.Errorf("%v, %v", e, err)
			}
			// What comes before the mask is the admin's own.
			before := Discover([]string{base + "/c", base + "/b", base + "/d"})
			if e, err := before.Stage1("qemu"); err != nil || e.Dir != base+"/c/stage1-qemu" {
				t.Errorf("%v, %v", e, err)
			}
			// A mask cannot be run, nor unmasked by what is broken before it.
			for _, e := range s.Entries() {
				if e.Masked && Check(&e, os.Geteuid(), true) == nil {
					t.Error("a mask is trusted")
				}
			}
		})
	}
}

// What makes a mask is /dev/null alone: a link elsewhere, dangling or into a user's directory, hides nothing and is none.
func TestNoMask(t *testing.T) {
	base := makeTree(t, map[string]string{
		"a/stage1-qemu":    "-> /dev/zero",
		"b/stage1-qemu":    "-> ../evil/stage1-qemu",
		"c/stage1-qemu":    "-> /nonexistent",
		"d/stage1-qemu":    stage1JSON("stage1-qemu", "qemu"),
		"evil/stage1-qemu": stage1JSON("stage1-qemu", "qemu"),
	})
	s := Discover([]string{base + "/a", base + "/b", base + "/c", base + "/d"})
	if e, err := s.Stage1("qemu"); err != nil || e.Dir != base+"/d/stage1-qemu" {
		t.Errorf("%v, %v", e, err)
	}
	for _, e := range s.Entries() {
		if e.Masked || (e.Err == nil) != (e.Dir == base+"/d/stage1-qemu") {
			t.Errorf("%+v", e)
		}
	}
}

// No variable of a user's leads root to a directory of that user.
func TestSearchPathOfRoot(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/home/u/share")
	t.Setenv("HOME", "/home/u")
	t.Setenv("XDG_DATA_DIRS", "/home/u/dirs")
	t.Setenv("XDG_CONFIG_HOME", "/home/u/config")
	t.Setenv("RKT_PLUGIN_PATH", "/home/u/plugins") // the engine's to refuse; never taken from the environment here
	for _, dir := range SearchPath("/usr/bin/rkt", nil, 0) {
		if strings.Contains(dir, "/home/u") {
			t.Errorf("root looks in %s", dir)
		}
	}
	os.Unsetenv("XDG_DATA_HOME")
	if dirs := SearchPath("/usr/bin/rkt", nil, 1000); dirs[0] != "/home/u/.local/share/rkt/plugins" {
		t.Errorf("a user looks in %q", dirs)
	}
	// Relative names mean another directory wherever rkt is run.
	t.Setenv("XDG_DATA_HOME", "relative")
	for _, dir := range SearchPath("", nil, 1000) {
		if !filepath.IsAbs(dir) {
			t.Errorf("looks in %s", dir)
		}
	}
}

func TestSearchPath(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/home/u/share")
	for _, c := range []struct {
		exe   string
		extra []string
		euid  int
		want  string
	}{
		{"/usr/bin/rkt", nil, 0, "/etc/rkt/plugins.d /run/rkt/plugins.d /usr/local/lib/rkt/plugins /usr/lib/rkt/plugins /usr/libexec/rkt/plugins"},
		{"/src/dist/bin/rkt", nil, 0, "/etc/rkt/plugins.d /run/rkt/plugins.d /src/dist/lib/rkt/plugins /usr/local/lib/rkt/plugins /usr/lib/rkt/plugins /usr/libexec/rkt/plugins"},
		{"", []string{"/x", "/x/", ""}, 1000, "/x /home/u/share/rkt/plugins /etc/rkt/plugins.d /run/rkt/plugins.d /usr/local/lib/rkt/plugins /usr/lib/rkt/plugins /usr/libexec/rkt/plugins"},
	} {
		if got := strings.Join(SearchPath(c.exe, c.extra, c.euid), " "); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// A newer protocol is refused without running anything.
func TestNewerManifest(t *testing.T) {
	dir := place(t)
	e := install(t, dir, "crash-start")
	e.Manifest.Provision(manifest.ServiceStage1).Protocols = []uint32{2, 3}
	_, err := Launch(t.Context(), e, options(dir, KindStage1))
	if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), "it speaks protocol [2 3] of rkt.stage1, this rkt speaks 1 (update rkt") {
		t.Error(err)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(stage1JSON("stage1-linux", "linux")))
	f.Add([]byte(`{"schema":1,"name":"x","masked":true}`))
	f.Add([]byte(`{"schema":1,"name":"x","exec":"..","provides":[{}]}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		d := filepath.Join(dir, "x")
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d, manifest.FileName), b, 0o644); err != nil {
			t.Fatal(err)
		}
		s := Discover([]string{dir})
		if len(s.Entries()) != 1 {
			t.Fatalf("%d entries", len(s.Entries()))
		}
		e := s.Entries()[0]
		if e.Err == nil && !e.Masked {
			for _, name := range append([]string{e.Manifest.Exec}, e.Manifest.Programs...) {
				if name != filepath.Base(name) || name == "." || name == ".." || name == "/" {
					t.Errorf("file name %q", name)
				}
			}
		}
		_, _ = s.Stage1("")
		_, _ = s.Stage1("x")
		_, _ = s.Fetcher("x")
		_ = s.Verifiers("x")
		_, _ = s.Network()
	})
}

func FuzzHandshake(f *testing.F) {
	f.Add("1|1|unix|/run/p/sock|grpc|")
	f.Add("1|1|unix|/run/p/../sock|grpc")
	f.Add("1|2|unix|/run/p/sock|grpc|cert|true")
	f.Add("hello\x1b[0m")
	f.Fuzz(func(t *testing.T, line string) {
		h, err := parseHandshake(line, "/run/p", []int{1})
		if err == nil && (h.protocol != 1 || filepath.Dir(h.socket) != "/run/p") {
			t.Errorf("%q: %+v", line, h)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\n\x00") {
			t.Errorf("control characters: %q", err)
		}
	})
}

func FuzzDrain(f *testing.F) {
	f.Add([]byte(`{"@level":"warn","@message":"m","k":1}` + "\n" + `{"@message":3}` + "\nplain\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, msg, _, ok := parseLog(string(b)); ok && strings.ContainsAny(msg, "\x1b\n\x00") {
			t.Errorf("%q", msg)
		}
	})
}
