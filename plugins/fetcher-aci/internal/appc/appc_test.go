package appc

import (
	"encoding/json"
	"strings"
	"testing"
)

const full = `{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/app","labels":[{"name":"version","value":"1.0"},{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}],
"app":{"exec":["/bin/app","-v"],"user":"0","group":"0","supplementaryGIDs":[4],"workingDirectory":"/","environment":[{"name":"A","value":"b"}],
"eventHandlers":[{"name":"pre-start","exec":["/bin/pre"]}],"mountPoints":[{"name":"data","path":"/data","readOnly":true}],
"ports":[{"name":"http","protocol":"tcp","port":80,"count":2,"socketActivated":true}],"isolators":[{"name":"resource/memory","value":{"limit":"1G"}}],
"userAnnotations":{"x":"y"},"userLabels":{"l":"m"}},"annotations":[{"name":"created","value":"2015-10-01T12:00:00Z"}],"pathWhitelist":["/bin"],"future":1}`

func TestParse(t *testing.T) {
	m, err := Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "example.com/app" || m.App.Ports[0].Count != 2 || !m.App.MountPoints[0].ReadOnly || string(m.App.Isolators[0].Value) != `{"limit":"1G"}` {
		t.Errorf("%+v", m)
	}
	if _, err := Parse([]byte(`{"acKind":"ImageManifest","acVersion":"0.8.0","name":"base"}`)); err != nil {
		t.Errorf("image without an app: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`"ImageManifest"`, `"PodManifest"`, "acKind"},
		{`"0.8.11"`, `"new"`, "acVersion"},
		{`"example.com/app"`, `"Example.com"`, "name"},
		{`"example.com/app"`, `"../app"`, "name"},
		{`{"name":"os","value":"linux"}`, `{"name":"version","value":"2"}`, "twice"},
		{`{"name":"os","value":"linux"}`, `{"name":"name","value":"2"}`, "not allowed"},
		{`{"name":"os","value":"linux"}`, `{"name":"O S","value":"2"}`, "identifier"},
		{`"user":"0"`, `"user":""`, "required"},
		{`"group":"0",`, ``, "required"},
		{`"/bin/app"`, `""`, "exec"},
		{`"/bin/app"`, `"/bin/a\u0000"`, "NUL"},
		{`"workingDirectory":"/"`, `"workingDirectory":"x"`, "absolute"},
		{`{"name":"A","value":"b"}`, `{"name":"1","value":"b"}`, "variable"},
		{`{"name":"A","value":"b"}`, `{"name":"A","value":"b"},{"name":"A","value":"c"}`, "twice"},
		{`"pre-start"`, `"post-start"`, "eventHandlers"},
		{`"path":"/data"`, `"path":"data"`, "absolute"},
		{`"name":"data"`, `"name":"da/ta"`, "mountPoints"},
		{`"protocol":"tcp"`, `"protocol":"sctp"`, "protocol"},
		{`"port":80`, `"port":0`, "range"},
		{`"port":80`, `"port":65535`, "range"},
		{`"port":80`, `"port":70000`, "cannot unmarshal"},
		{`"supplementaryGIDs":[4]`, `"supplementaryGIDs":[-1]`, "cannot unmarshal"},
		{`"2015-10-01T12:00:00Z"`, `"yesterday"`, "created"},
		{`["/bin"]`, `["bin"]`, "pathWhitelist"},
		{`"future":1}`, `"future":1} {}`, "more than one"},
		{`"future":1}`, ``, "unexpected EOF"},
	} {
		doc := strings.Replace(full, c.old, c.new, 1)
		if doc == full {
			t.Fatalf("%s is not in the document", c.old)
		}
		if m, err := Parse([]byte(doc)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", c.new, m, err, c.want)
		}
	}
}

func TestParseName(t *testing.T) {
	for in, want := range map[string]string{
		"example.com/app":                     "example.com example.com/app map[]",
		"example.com/app:1.0,os=linux,arch=x": "example.com example.com/app map[arch:x os:linux version:1.0]",
		"127.0.0.1:8080/app":                  "127.0.0.1:8080 127.0.0.1/app map[]",
		"localhost:8080/a/b:v1":               "localhost:8080 localhost/a/b map[version:v1]",
		"example.com/app:1%2C0":               "example.com example.com/app map[version:1,0]",
		"example.com:8080/app":                "example.com example.com map[version:8080/app]", // no port: not loopback
		"127.0.0.1:8080":                      "127.0.0.1 127.0.0.1 map[version:8080]",
		"reduce-worker":                       "reduce-worker reduce-worker map[]",
	} {
		n, err := ParseName(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		labels, _ := json.Marshal(n.Labels)
		_ = labels
		if got := n.Host() + " " + n.Name + " " + mapString(n.Labels); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{"", "UP", "a//b", "/a", "a:", "a,b", "a,b=", "a,name=x", "a,b=1,b=2", "a:1,version=2", "../a", "a:%zz", "127.0.0.1:99/../x"} {
		if n, err := ParseName(in); err == nil {
			t.Errorf("%q: %+v", in, n)
		}
	}
}

func mapString(m map[string]string) string {
	p := Pairs{}
	for _, k := range []string{"arch", "os", "version"} {
		if v, ok := m[k]; ok {
			p = append(p, Pair{k, v})
		}
	}
	var s []string
	for _, x := range p {
		s = append(s, x.Name+":"+x.Value)
	}
	return "map[" + strings.Join(s, " ") + "]"
}

func TestMatchAndCanonical(t *testing.T) {
	m, err := Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"example.com/app":            "",
		"example.com/app:1.0":        "",
		"example.com/app:1.1":        "asked for was \"1.1\"",
		"example.com/other":          "is called",
		"example.com/app,channel=x":  "no label channel",
		"example.com/app,arch=amd64": "",
	} {
		n, err := ParseName(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Match(m); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
	if c, err := Canonical(m); err != nil || c != "aci://example.com/app:1.0,arch=amd64,os=linux" {
		t.Errorf("%s, %v", c, err)
	}
}

func TestPlatform(t *testing.T) {
	for _, c := range []struct {
		os, arch, goarch, want string
	}{
		{"linux", "amd64", "amd64", ""},
		{"linux", "aarch64", "arm64", ""},
		{"linux", "i386", "386", ""},
		{"linux", "armv6l", "arm", ""},
		{"linux", "aarch64", "amd64", "wanted is linux/amd64"},
		{"linux", "x86_64", "amd64", "none of linux's"},
		{"freebsd", "amd64", "amd64", "none of linux's"},
		{"", "amd64", "amd64", "no os and arch"},
	} {
		m := &Manifest{Name: "x", Labels: Pairs{{"arch", c.arch}}}
		if c.os != "" {
			m.Labels = append(m.Labels, Pair{"os", c.os})
		}
		p, err := m.Platform()
		if err == nil {
			err = p.RunsOn(Platform{"linux", c.goarch, ""})
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for goarch, want := range map[string]string{"amd64": "amd64", "arm64": "aarch64", "arm": "armv7l", "386": "i386", "riscv64": ""} {
		if got, err := Arch(Platform{OS: "linux", Architecture: goarch}); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", goarch, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(`{"acKind":"ImageManifest","acVersion":"0.8.0","name":"base"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		if c, err := Canonical(m); err == nil {
			if _, err := ParseName(strings.TrimPrefix(c, "aci://")); err != nil && !portRE.MatchString(strings.TrimPrefix(c, "aci://")) {
				t.Errorf("%q is not read back: %v", c, err)
			}
		}
	})
}

func FuzzParseName(f *testing.F) {
	f.Add("example.com/app:1.0,os=linux")
	f.Add("127.0.0.1:80/x")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err == nil && (strings.Contains(n.Name, "..") || strings.ContainsAny(n.Host(), "/@?#")) {
			t.Errorf("%q: %+v", s, n)
		}
	})
}
