package scaffold

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/proto/manifest"
)

const repository = "../.."

// Every kind that a plugin can be, and no trace of the example's name but where it is named on purpose.
func TestKinds(t *testing.T) {
	services := []string{manifest.ServiceStage1, manifest.ServiceFetcher, manifest.ServiceVerifier, manifest.ServiceNetwork}
	for _, s := range services {
		if !slices.Contains(Kinds(), strings.TrimPrefix(s, "rkt.")) {
			t.Errorf("no plugin of kind %s can be begun", s)
		}
	}
	for _, k := range kinds() {
		dir := filepath.Join(t.TempDir(), "new", "x")
		p := Plugin{Kind: k.name, Name: k.name + "-mine", Example: k.example, Dir: dir, SDK: repository}
		names, err := p.Write()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{".gitignore", "Makefile", "README.md", "conformance_test.go", "go.mod", "go.sum", "main.go", "nfpm.yaml"} {
			if !slices.Contains(names, want) {
				t.Errorf("%s has no %s", k.name, want)
			}
		}
		for _, name := range names {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			text := string(b)
			if name != "README.md" && strings.Contains(text, k.example) || strings.Contains(text, "@NAME@") || strings.Contains(text, "@KIND@") || strings.Contains(text, "@EXAMPLE@") {
				t.Errorf("%s/%s is not the new plugin's:\n%s", k.name, name, text)
			}
		}
		main, err := os.ReadFile(filepath.Join(dir, "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		for old := range slices.Chunk(replaced(k), 2) {
			if strings.Contains(string(main), old[0]) || !strings.Contains(string(main), old[1]) {
				t.Errorf("%s: main.go has %s where %s should be", k.name, old[0], old[1])
			}
		}
	}
}

func replaced(k kind) []string {
	if k.words == nil {
		return nil
	}
	return k.words("mine")
}

func TestRefuses(t *testing.T) {
	dir := t.TempDir()
	full := filepath.Join(dir, "full")
	if err := os.MkdirAll(filepath.Join(full, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(dir, "elsewhere")
	if err := os.Mkdir(elsewhere, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(elsewhere, "go.mod"), []byte("module example.com/x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		p    Plugin
		says string
	}{
		{Plugin{Kind: "stage2", Name: "x"}, `kind "stage2" is none of stage1, fetcher, verifier, network`},
		{Plugin{Kind: "stage1", Name: "x", Example: "fetcher-file"}, `no example "fetcher-file" of kind stage1`},
		{Plugin{Kind: "stage1", Name: "../x"}, `name "../x" is not of the form`},
		{Plugin{Kind: "stage1", Name: "Mine"}, "is not of the form"},
		{Plugin{Kind: "stage1", Name: ""}, "is not of the form"},
		{Plugin{Kind: "stage1", Name: "x", Module: "a\nreplace b => c"}, "is no module path"},
		{Plugin{Kind: "stage1", Name: "x", Version: "2.0.0-dev"}, "is no release that go.mod could name"},
		{Plugin{Kind: "stage1", Name: "x", Dir: full}, "is not empty"},
		{Plugin{Kind: "stage1", Name: "x", Dir: file}, "not a directory"},
		{Plugin{Kind: "stage1", Name: "x", SDK: filepath.Join(dir, "none")}, "read the checkout of rkt"},
		{Plugin{Kind: "stage1", Name: "x", SDK: elsewhere}, `is of module "example.com/x"`},
	} {
		if c.p.Dir == "" {
			c.p.Dir = filepath.Join(dir, "new")
		}
		if _, err := c.p.Write(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.p, err, c.says)
		}
		if _, err := os.Lstat(filepath.Join(dir, "new")); err == nil {
			t.Errorf("%+v left a directory", c.p)
		}
	}
	if names, _ := os.ReadDir(full); len(names) != 1 {
		t.Error("a directory that is not empty was written to")
	}
}

// What fails in the middle leaves nothing, not even what it had made.
func TestUndone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	err := write(dir, map[string]string{"a": "", "b/../../c": ""})
	if err == nil {
		t.Fatal("a file was written outside of the directory")
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Error("the directory is still there")
	}
}

func TestRelease(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	names, err := Plugin{Kind: "fetcher", Name: "s3", Dir: dir, Version: "2.1.0", Module: "github.com/acme/s3"}.Write()
	if err != nil || slices.Contains(names, "go.sum") {
		t.Fatal(names, err)
	}
	b, _ := os.ReadFile(filepath.Join(dir, "go.mod"))
	if got := string(b); !strings.HasPrefix(got, "module github.com/acme/s3\n") || !strings.Contains(got, "require github.com/rkt/rkt/v2 v2.1.0\n") || strings.Contains(got, "replace") {
		t.Errorf("%s", got)
	}
	b, _ = os.ReadFile(filepath.Join(dir, "main.go"))
	if !strings.Contains(string(b), `Schemes: []string{"s3"}`) {
		t.Errorf("%s", b)
	}
}

func TestParse(t *testing.T) {
	m := parse("module a // x\n\ngo 1.26.0\n\nrequire b v1\nrequire (\n\tc v2\n\td v3 // indirect\n)\nexclude (\n\te v1\n)\ntool f\n")
	if m.name != "a" || m.golang != "1.26.0" || !slices.Equal(m.require, []string{"b v1", "c v2", "d v3"}) {
		t.Errorf("%+v", m)
	}
}

// What a plugin imports itself is no indirect requirement, and what only rkt needs is none at all.
func TestModule(t *testing.T) {
	for kind, direct := range map[string][]string{
		"fetcher": {rktModule},
		"network": {rktModule, "github.com/vishvananda/netlink", "github.com/vishvananda/netns", "golang.org/x/sys"},
	} {
		dir := filepath.Join(t.TempDir(), kind)
		if _, err := (Plugin{Kind: kind, Name: kind + "-x", Dir: dir, SDK: repository}).Write(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		var here []string
		for line := range strings.Lines(string(b)) {
			line = strings.TrimSpace(strings.TrimPrefix(line, "require "))
			if f := strings.Fields(line); len(f) == 2 && strings.HasPrefix(f[1], "v") {
				here = append(here, f[0])
			}
		}
		if !slices.Equal(here, direct) || strings.Contains(string(b), "spf13") || !strings.Contains(string(b), "google.golang.org/grpc v") {
			t.Errorf("%s: %q\n%s", kind, here, b)
		}
	}
}
