package conflist

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

func dir(t *testing.T, files map[string]string) string {
	t.Helper()
	d := t.TempDir()
	for name, text := range files {
		file := filepath.Join(d, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func list(name, typ string) string {
	return `{"cniVersion":"1.0.0","name":"` + name + `","plugins":[{"type":"` + typ + `"}]}`
}

func TestLoad(t *testing.T) {
	admin := dir(t, map[string]string{
		"20-b.conflist":     list("b", "bridge"),
		"10-a.conf":         `{"cniVersion":"0.4.0","name":"a","type":"macvlan","master":"eth0"}`,
		"30-b.conflist":     list("b", "ptp"),
		"40-broken.conf":    `{"name":`,
		"50-def.conflist":   list("default", "bridge"),
		"60-evil.conflist":  list("../../x", "bridge"),
		"61-evil.conflist":  list("x", "../../bin/sh"),
		"62-evil.conf":      `{"cniVersion":"1.0.0","name":"y","type":"bridge","ipam":{"type":"/bin/sh"}}`,
		"63-empty.conf":     ``,
		"64-no.conflist":    `{"cniVersion":"1.0.0","name":"z","plugins":[]}`,
		"65-res.conflist":   list("host", "bridge"),
		"ignored.json":      list("ignored", "bridge"),
		"70-split.conflist": `{"cniVersion":"1.1.0","name":"split","plugins":[{"type":"one"}]}`,
		"split/10.conf":     `{"type":"two"}`,
	})
	vendor := dir(t, map[string]string{"10-a.conflist": list("a", "bridge"), "10-v.conflist": list("v", "bridge")})
	if err := os.Symlink("/dev/zero", filepath.Join(vendor, "99-zero.conflist")); err != nil {
		t.Fatal(err)
	}
	s := Load([]string{admin, filepath.Join(admin, "missing"), vendor})
	if want := []string{"a", "b", "default", "split", "v", "default-restricted"}; !slices.Equal(s.Names(), want) {
		t.Errorf("names are %q, want %q", s.Names(), want)
	}
	for name, typ := range map[string]string{"a": "macvlan", "b": "bridge", "default": "bridge", "default-restricted": "rkt-ptp"} {
		n, err := s.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.List.Plugins[0].Network.Type; got != typ {
			t.Errorf("network %s is of type %s, want %s", name, got, typ)
		}
		again, err := Parse(n.List.Bytes, "")
		if err != nil || again.Name != name || len(again.Plugins) != len(n.List.Plugins) {
			t.Errorf("the saved bytes of %s are not the whole network: %v", name, err)
		}
	}
	n, _ := s.Get("split")
	if again, err := Parse(n.List.Bytes, ""); err != nil || len(again.Plugins) != 2 || again.Plugins[1].Network.Type != "two" {
		t.Errorf("plugins kept beside the list are not in it: %+v, %v", again, err)
	}
	for _, file := range []string{"30-b", "40-broken", "60-evil", "61-evil", "62-evil", "63-empty", "64-no", "65-res", "99-zero", "10-a.conflist"} {
		if !slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.Contains(w, file) }) {
			t.Errorf("no warning about %s in %q", file, s.Warnings)
		}
	}
	_, err := s.Get("nowhere")
	e, ok := err.(*plugin.Error)
	if !ok || e.Reason != reason.NetworkNotFound {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"networks not found", "nowhere", "default-restricted", admin, vendor, "40-broken"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not speak of %s", err, want)
		}
	}
}

func TestBuiltinsAreSound(t *testing.T) {
	s := Load(nil)
	if len(s.Warnings) > 0 || len(s.Names()) != 2 {
		t.Errorf("%q, %q", s.Names(), s.Warnings)
	}
}

func FuzzParse(f *testing.F) {
	for _, b := range builtins() {
		f.Add([]byte(b))
	}
	f.Add([]byte(`{"name":"a","type":"b"}`))
	f.Add([]byte(`{"name":"a..b","plugins":[{"type":"b"}]}`))
	f.Add([]byte(`{"name":"a","cniVersions":["1.0.0","x"],"plugins":[{"type":"b","ipam":{"type":"c"}}]}`))
	f.Add([]byte(`{"name":"a","Type":"b","plugins":null,"type":"/"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Parse(b, "")
		if err != nil {
			return
		}
		if !ValidName(l.Name) || strings.ContainsAny(l.Name, "/\x00") || len(l.Plugins) == 0 {
			t.Fatalf("let %q through", l.Name)
		}
		for _, p := range l.Plugins {
			if typ := p.Network.Type; typ == "" || strings.Contains(typ, "/") || strings.Contains(p.Network.IPAM.Type, "/") {
				t.Fatalf("let type %q, %q through", typ, p.Network.IPAM.Type)
			}
		}
		if !json.Valid(l.Bytes) {
			t.Fatal("bytes are not JSON")
		}
		if _, err := Parse(l.Bytes, ""); err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
	})
}
