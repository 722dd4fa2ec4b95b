package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// dirs makes two configuration directories with the given files ("system/rkt.toml").
func dirs(t *testing.T, files map[string]string) (root string, f Flags) {
	t.Helper()
	root = t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root, Flags{SystemConfig: filepath.Join(root, "system"), LocalConfig: filepath.Join(root, "local"), Dir: filepath.Join(root, "data")}
}

func env(vars map[string]string) func(string) string { return func(k string) string { return vars[k] } }

func TestPrecedence(t *testing.T) {
	files := map[string]string{
		"system/rkt.toml": "dir = \"/sys-dir\"\nstage1 = \"sys\"\n[stop]\ngrace = \"1s\"\n[image]\nsearch = [\"a\"]\n[fetch]\ntimeout = \"2m\"\n",
		"local/rkt.toml":  "stage1 = \"loc\"\n[stop]\ngrace = \"3s\"\n[image]\nsearch = [\"b\", \"c\"]\n",
	}
	_, f := dirs(t, files)
	dataFlag := f.Dir
	for _, c := range []struct {
		name     string
		flagDir  string
		vars     map[string]string
		dir, st1 string
	}{
		{"files", "", nil, "/sys-dir", "loc"},
		{"environment over files", "", map[string]string{"RKT_DIR": "/env-dir", "RKT_STAGE1": "env"}, "/env-dir", "env"},
		{"flag over environment", dataFlag, map[string]string{"RKT_DIR": "/env-dir"}, dataFlag, "loc"},
	} {
		f.Dir = c.flagDir
		got, err := Load(f, env(c.vars))
		if err != nil {
			t.Fatal(err)
		}
		if got.Dir != c.dir || got.Stage1 != c.st1 {
			t.Errorf("%s: dir %q, stage1 %q", c.name, got.Dir, got.Stage1)
		}
		if got.StopGrace != 3*time.Second || got.FetchLimit != 2*time.Minute || !slices.Equal(got.ImageSearch, []string{"b", "c"}) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestDefaults(t *testing.T) {
	_, f := dirs(t, nil)
	c, err := Load(f, env(nil))
	if err != nil {
		t.Fatal(err)
	}
	if c.StopGrace != DefaultStopGrace || c.FetchLimit != DefaultFetchLimit || c.Stage1 != "" ||
		!slices.Equal(c.ImageSearch, []string{"docker", "aci"}) || c.Insecure != (Insecure{}) {
		t.Errorf("%+v", c)
	}
	c, err = Load(Flags{}, env(map[string]string{"RKT_SYSTEM_CONFIG": "/s", "RKT_LOCAL_CONFIG": "/l", "RKT_PLUGIN_PATH": "/a:/b"}))
	if err != nil || c.SystemConfig != "/s" || c.LocalConfig != "/l" || !slices.Equal(c.PluginPath, []string{"/a", "/b"}) || c.Dir != DefaultDir {
		t.Errorf("%+v, %v", c, err)
	}
}

// rkt finish runs in another directory than the rkt run that named these.
func TestPathsAreAbsolute(t *testing.T) {
	t.Chdir(t.TempDir())
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{"p"}
	c, err := Load(Flags{Dir: "d", SystemConfig: "s", LocalConfig: "./l", PluginPath: paths}, env(nil))
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{c.Dir: "d", c.SystemConfig: "s", c.LocalConfig: "l", c.PluginPath[0]: "p"} {
		if got != filepath.Join(wd, want) {
			t.Errorf("%q, want %s in %s", got, want, wd)
		}
	}
	if paths[0] != "p" {
		t.Error("the caller's list was changed")
	}
}

func TestDataDirSymlinks(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"link": "real", "dangling": "nowhere", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for in, want := range map[string]string{
		"real": "real", "link": "real", "link/sub": "real/sub", "link/a/../b": "real/b", "none/x/y": "none/x/y", "loop": "",
	} {
		got, err := dataDir(filepath.Join(root, in))
		if want == "" {
			if err == nil {
				t.Errorf("%s: %s", in, got)
			}
			continue
		}
		if err != nil || got != filepath.Join(root, want) {
			t.Errorf("%s: %s, %v, want %s", in, got, err, want)
		}
	}
	if _, err := dataDir(""); err == nil {
		t.Error("an empty directory was taken")
	}
}

func TestBadFiles(t *testing.T) {
	for content, want := range map[string]string{
		"dir = \n":                      "rkt.toml",
		"[stop]\ngrace = 10\n":          `stop.grace = 10 is no duration above zero, such as "10s"`,
		"[stop]\ngrace = \"soon\"\n":    "stop.grace = soon",
		"[stop]\ngrace = \"-1s\"\n":     "stop.grace = -1s",
		"[fetch]\ntimeout = \"0s\"\n":   "fetch.timeout = 0s",
		"[fetch]\ntimeout = [\"1s\"]\n": "fetch.timeout",
		"dir = \"\"\n":                  "cannot be empty",
	} {
		_, f := dirs(t, map[string]string{"local/rkt.toml": content})
		f.Dir = ""
		if _, err := Load(f, env(nil)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
	root, f := dirs(t, nil)
	if err := os.MkdirAll(filepath.Join(root, "local", "rkt.toml"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(f, env(nil)); err == nil {
		t.Error("a directory was read as rkt.toml")
	}
}

func TestParseInsecure(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want Insecure
		err  string
	}{
		{nil, Insecure{}, ""},
		{[]string{"none"}, Insecure{}, ""},
		{[]string{"image,tls", "http"}, Insecure{Image: true, TLS: true, HTTP: true}, ""},
		{[]string{" image , tls "}, Insecure{Image: true, TLS: true}, ""},
		{[]string{"all-fetch"}, Insecure{Image: true, TLS: true, HTTP: true, PubKey: true}, ""},
		{[]string{"all-run"}, Insecure{Capabilities: true, Paths: true, Seccomp: true}, ""},
		{[]string{"all"}, Insecure{true, true, true, true, true, true, true, true}, ""},
		{[]string{"image,bogus"}, Insecure{}, `"bogus" is none of none, image, tls, http, pubkey, capabilities, paths, seccomp, plugin, all-fetch, all-run, all`},
		{[]string{"IMAGE"}, Insecure{}, `"IMAGE" is none of`},
	} {
		got, err := ParseInsecure(c.in)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: %v, want %q", c.in, err, c.err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%q: %+v, %v", c.in, got, err)
		}
	}
	// Each word that --help shows is one.
	for _, o := range InsecureOptions() {
		if _, err := ParseInsecure([]string{o[0]}); err != nil || o[1] == "" {
			t.Errorf("%q: %v", o, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	docker := func(hosts, user string) string {
		return `{"rktKind":"dockerAuth","rktVersion":"v1","registries":[` + hosts + `],"credentials":{"user":"` + user + `","password":"p"}}`
	}
	_, f := dirs(t, map[string]string{
		"system/auth.d/a.json":     docker(`"one.example","two.example"`, "vendor"),
		"local/auth.d/b.json":      docker(`"two.example"`, "admin"),
		"local/auth.d/c.json":      `{"rktKind":"auth","rktVersion":"v1","domains":["three.example"],"type":"oauth","credentials":{"token":"t"}}`,
		"local/auth.d/d.json":      `{"rktKind":"auth","rktVersion":"v1","domains":["two.example"],"type":"basic","credentials":{"user":"u","password":"q"}}`,
		"local/auth.d/ignored.bak": "not json",
		"local/auth.d/sub/x.json":  "not json",
	})
	if err := os.Symlink("ignored.bak", filepath.Join(f.LocalConfig, "auth.d", "link.json")); err != nil {
		t.Fatal(err)
	}
	others := []Credential{{Host: "three.example", Token: "t"}, {Host: "two.example", Username: "u", Password: "q"}}
	for scheme, want := range map[string][]Credential{
		"docker": {
			{Registry: true, Host: "one.example", Username: "vendor", Password: "p"},
			{Registry: true, Host: "two.example", Username: "admin", Password: "p"},
		},
		"aci": others, "a-vendors": others,
	} {
		got, err := Config{SystemConfig: f.SystemConfig, LocalConfig: f.LocalConfig}.Credentials(scheme)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %+v, %v", scheme, got, err)
		}
	}
}

func TestCredentialsRefused(t *testing.T) {
	one := `{"rktKind":"dockerAuth","rktVersion":"v1","registries":["r.example"],"credentials":{"user":"u","password":"secret-word"}}`
	for _, c := range []struct {
		files map[string]string
		want  string
	}{
		{map[string]string{"a.json": one, "b.json": one}, `a.json and b.json in`},
		{map[string]string{"a.json": strings.Replace(one, `"r.example"`, `"r.example","r.example"`, 1)}, `both name "r.example"`},
		{map[string]string{"a.json": strings.Replace(one, "v1", "v2", 1)}, `rktVersion "v2" is not v1`},
		{map[string]string{"a.json": strings.Replace(one, "dockerAuth", "paths", 1)}, `rktKind "paths" does not belong in auth.d`},
		{map[string]string{"a.json": `{"rktKind":"auth","rktVersion":"v1","domains":["d"],"type":"aws"}`}, `type "aws" is neither basic nor oauth`},
		{map[string]string{"a.json": one + "x"}, "a.json"},
	} {
		files := map[string]string{}
		for name, content := range c.files {
			files["local/auth.d/"+name] = content
		}
		_, f := dirs(t, files)
		_, err := Config{SystemConfig: f.SystemConfig, LocalConfig: f.LocalConfig}.Credentials("docker")
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// TestShippedFile: the file that packages install names every setting with the default that it has without the file.
func TestShippedFile(t *testing.T) {
	b, err := os.ReadFile("../../packaging/rkt.toml")
	if err != nil {
		t.Fatal(err)
	}
	load := func(text string) Config {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "rkt.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Flags{SystemConfig: dir, LocalConfig: "/nonexistent"}, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		c.SystemConfig = ""
		return c
	}
	other := map[string]string{"dir": `"/x"`, "stage1": `"x"`, "search": `["x"]`, "grace": `"1s"`, "timeout": `"1s"`}
	setting := regexp.MustCompile(`(?m)^#([a-z0-9]+) = .*$`)
	want := load("")
	if got := load(string(b)); !reflect.DeepEqual(got, want) {
		t.Errorf("as it is: %+v, the defaults are %+v", got, want)
	}
	uncommented := setting.ReplaceAllStringFunc(string(b), func(line string) string { return line[1:] })
	if got := load(uncommented); !reflect.DeepEqual(got, want) {
		t.Errorf("uncommented: %+v, the defaults are %+v", got, want)
	}
	for _, m := range setting.FindAllStringSubmatch(string(b), -1) {
		value, ok := other[m[1]]
		if !ok {
			t.Errorf("%s is no setting", m[1])
		}
		delete(other, m[1])
		if got := load(strings.Replace(string(b), m[0], m[1]+" = "+value, 1)); reflect.DeepEqual(got, want) {
			t.Errorf("%s = %s changes nothing", m[1], value)
		}
	}
	if len(other) > 0 {
		t.Errorf("not in the file: %v", other)
	}
}
