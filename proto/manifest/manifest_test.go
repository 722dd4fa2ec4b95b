package manifest

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const good = `{"schema":1,"name":"stage1-x","version":"1.0.0","exec":"rkt-stage1-x","programs":["supervisor"],
"provides":[{"service":"rkt.stage1","protocols":[1],"flavor":"x"}],"later":{"key":1}}`

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, in, err string }{
		{"good, with a key of a later minor", good, ""},
		{"masked", `{"schema":1,"name":"x","masked":true}`, ""},
		{"a service of somebody else's needs no protocols", `{"schema":1,"name":"x","exec":"e","provides":[{"service":"com.example"}]}`, ""},
		{"empty", ``, "parse plugin.json"},
		{"null", `null`, "schema is 0"},
		{"array", `[]`, "parse plugin.json"},
		{"two documents", good + good, "parse plugin.json"},
		{"schema", `{"schema":2,"name":"x"}`, "schema is 2, this rkt reads 1"},
		{"no name", `{"schema":1}`, `name "" is not`},
		{"masked without a name", `{"schema":1,"masked":true}`, `name "" is not`},
		{"name", `{"schema":1,"name":"../x"}`, `name "../x" is not`},
		{"no exec", `{"schema":1,"name":"x","provides":[{"service":"a"}]}`, `"" is not a bare file name`},
		{"exec is a path", `{"schema":1,"name":"x","exec":"../../bin/sh"}`, "not a bare file name"},
		{"exec is a directory", `{"schema":1,"name":"x","exec":".."}`, "not a bare file name"},
		{"program is a path", `{"schema":1,"name":"x","exec":"e","programs":["a/b"]}`, `"a/b" is not a bare file name`},
		{"program with NUL", `{"schema":1,"name":"x","exec":"e","programs":["a\u0000"]}`, "not a bare file name"},
		{"schema is a path", `{"schema":1,"name":"x","exec":"e","config_schema":"../../etc/shadow","provides":[{"service":"a"}]}`, "not a bare file name"},
		{"provides nothing", `{"schema":1,"name":"x","exec":"e"}`, "provides nothing"},
		{"no protocols", `{"schema":1,"name":"x","exec":"e","provides":[{"service":"rkt.network"}]}`, "rkt.network: no protocols"},
		{"protocols of a wrong type", `{"schema":1,"name":"x","exec":"e","provides":[{"service":"rkt.network","protocols":[-1]}]}`, "parse plugin.json"},
	} {
		m, err := Parse([]byte(c.in))
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || (m == nil) != (err != nil) {
			t.Errorf("%s: %+v, %v, want %q", c.name, m, err, c.err)
		}
	}
}

func TestValidName(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "stage1-linux": true, "a9-": true, strings.Repeat("a", 63): true,
		"": false, "1a": false, "-a": false, "A": false, "a_b": false, "a/b": false, "a.b": false, "ä": false, "a\x00": false,
		strings.Repeat("a", 64): false,
	} {
		if ValidName(s) != want {
			t.Errorf("ValidName(%q) = %v", s, !want)
		}
	}
}

func TestProvision(t *testing.T) {
	m, err := Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if p := m.Provision(ServiceStage1); p == nil || p.Flavor != "x" {
		t.Errorf("%+v", p)
	}
	if p := m.Provision(ServiceNetwork); p != nil {
		t.Errorf("%+v", p)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"schema":1,"name":"x","masked":true}`))
	f.Add([]byte(`{"schema":1,"name":"x","exec":"e","provides":[{"service":"rkt.fetcher","protocols":[1,2],"schemes":["a"]}]}`))
	f.Add([]byte(`{"schema":1e0}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		if !ValidName(m.Name) {
			t.Fatalf("name %q", m.Name)
		}
		if m.Masked {
			return
		}
		for _, p := range append([]string{m.Exec}, m.Programs...) {
			if m.ConfigSchema != "" && filepath.Base(m.ConfigSchema) != m.ConfigSchema {
				t.Fatalf("%q leaves the directory", m.ConfigSchema)
			}
			if filepath.Base(p) != p || p == "." || p == ".." {
				t.Fatalf("%q leaves the directory", p)
			}
		}
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(out)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if again2, _ := json.Marshal(again); !reflect.DeepEqual(out, again2) {
			t.Fatalf("%s became %s", out, again2)
		}
	})
}
