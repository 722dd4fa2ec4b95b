package packaging

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRelations: what each package needs and offers, as docs/packaging.md says.
func TestRelations(t *testing.T) {
	for _, c := range []struct{ name, depends, recommends, provides string }{
		{"rkt", "", "rkt-stage1-linux, rkt-fetcher-docker, rkt-network-cni", ""},
		{"rkt-dev", "", "", ""},
		{"rkt-stage1-linux", "rkt (>= 2.0.0~)", "", "rkt-stage1"},
		{"rkt-stage1-qemu", "rkt (>= 2.0.0~), qemu-system-x86 | qemu-system, erofs-utils, e2fsprogs", "", "rkt-stage1"},
		{"rkt-stage1-lkvm", "rkt (>= 2.0.0~), erofs-utils, e2fsprogs", "", "rkt-stage1"},
		{"rkt-fetcher-docker", "rkt (>= 2.0.0~)", "ca-certificates", "rkt-fetcher"},
		{"rkt-fetcher-aci", "rkt (>= 2.0.0~)", "rkt-verifier-openpgp, ca-certificates", "rkt-fetcher"},
		{"rkt-verifier-openpgp", "rkt (>= 2.0.0~)", "", "rkt-verifier"},
		{"rkt-network-cni", "rkt (>= 2.0.0~)", "", "rkt-network"},
	} {
		if !slices.Contains(names(), c.name) {
			t.Errorf("no package %s", c.name)
			continue
		}
		deb, rpm := one(t, built(t), c.name, "deb"), one(t, built(t), c.name, "rpm")
		for field, want := range map[string]string{"Depends": c.depends, "Recommends": c.recommends, "Provides": c.provides} {
			if got := strings.TrimSpace(run(t, "dpkg-deb", "-f", deb, field)); got != want {
				t.Errorf("%s: %s: %q, want %q", c.name, field, got, want)
			}
		}
		for option, want := range map[string]string{"--requires": c.depends, "--recommends": c.recommends, "--provides": c.provides} {
			got := run(t, "rpm", "-qp", option, rpm)
			for relation := range strings.SplitSeq(want, ", ") {
				word, _, _ := strings.Cut(relation, " ")
				if !slices.ContainsFunc(strings.Split(got, "\n"), func(l string) bool { return l == word || strings.HasPrefix(l, word+" ") }) && word != "" {
					t.Errorf("%s.rpm: %s lacks %q:\n%s", c.name, option, word, got)
				}
			}
		}
	}
}

// TestArchitecture: a package is of the architecture that was built, on whatever machine.
func TestArchitecture(t *testing.T) {
	for goarch, want := range map[string][2]string{"amd64": {"amd64", "x86_64"}, "arm64": {"arm64", "aarch64"}} {
		out := t.TempDir()
		if err := build(out, "package-rkt-dev", "GOARCH="+goarch); err != nil {
			t.Fatal(err)
		}
		deb := strings.TrimSpace(run(t, "dpkg-deb", "-f", one(t, out, "rkt-dev", "deb"), "Architecture"))
		rpm := run(t, "rpm", "-qp", "--qf", "%{ARCH}", one(t, out, "rkt-dev", "rpm"))
		if deb != want[0] || rpm != want[1] {
			t.Errorf("built for %s, the packages say %s and %s", goarch, deb, rpm)
		}
	}
}

// TestScripts: only rkt has scripts, and each is one that sh can read.
func TestScripts(t *testing.T) {
	for _, name := range names() {
		dir := t.TempDir()
		run(t, "dpkg-deb", "-e", one(t, built(t), name, "deb"), dir)
		var scripts []string
		for _, s := range []string{"preinst", "postinst", "prerm", "postrm", "config", "conffiles"} {
			path := filepath.Join(dir, s)
			if b, err := os.ReadFile(path); err == nil && len(b) > 0 {
				scripts = append(scripts, s)
				run(t, "sh", "-n", path)
			}
		}
		want := []string(nil)
		if name == "rkt" {
			want = []string{"postinst", "prerm", "postrm"}
		}
		if !slices.Equal(scripts, want) {
			t.Errorf("%s has the scripts %v, want %v", name, scripts, want)
		}
	}
}

// TestBill: the bill of materials names the modules of the binaries and has their digests; the licences of each are
// there.
func TestBill(t *testing.T) {
	root, _ := unpacked(t)
	for _, name := range names() {
		doc := filepath.Join(root, "usr/share/doc", name)
		b, err := os.ReadFile(filepath.Join(doc, "sbom.cdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		var bill struct {
			Format     string `json:"bomFormat"`
			Components []struct {
				Type, Name, Version, PURL string
				Hashes                    []struct{ Content string }
				Properties                []struct{ Name, Value string }
			}
			Dependencies []struct {
				Ref       string
				DependsOn []string
			}
		}
		if err := json.Unmarshal(b, &bill); err != nil || bill.Format != "CycloneDX" {
			t.Fatalf("%s: %v", name, err)
		}
		notice, err := os.ReadFile(filepath.Join(doc, "copyright"))
		if err != nil {
			t.Fatal(err)
		}
		own, err := os.ReadFile("../../LICENSE")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(notice), "\nrkt\n") || !strings.Contains(string(notice), strings.TrimSpace(string(own))) {
			t.Errorf("%s: the terms of rkt itself are not there", name)
		}
		if got := run(t, "rpm", "-qp", "--qf", "%{LICENSE}", one(t, built(t), name, "rpm")); got != "Apache-2.0" {
			t.Errorf("%s.rpm: licence %q", name, got)
		}
		files := sums(t, root)
		modules, programs := 0, 0
		for _, c := range bill.Components {
			switch c.Type {
			case "file":
				programs++
				path := strings.TrimPrefix(c.Properties[0].Value, "/")
				if files[path] != c.Hashes[0].Content {
					t.Errorf("%s: the bill's digest of /%s is not the file's", name, path)
				}
			case "library":
				modules++
				if !strings.Contains(string(notice), c.Name+" "+c.Version+"\n") {
					t.Errorf("%s: no licence of %s %s", name, c.Name, c.Version)
				}
				if c.PURL != "pkg:golang/"+c.Name+"@"+c.Version {
					t.Errorf("%s: package URL %q", name, c.PURL)
				}
			}
		}
		if name != "rkt-dev" && (programs == 0 || modules < 2 || len(bill.Dependencies) != programs+1) {
			t.Errorf("%s: %d programs, %d modules, %d dependencies", name, programs, modules, len(bill.Dependencies))
		}
	}
}
