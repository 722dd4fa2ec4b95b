package reference

import (
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/proto/reason"
)

const dgst = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParseDocker(t *testing.T) {
	tests := []struct{ in, canonical, host string }{
		{"docker://busybox", "docker://docker.io/library/busybox:latest", "registry-1.docker.io"},
		{"docker:busybox", "docker://docker.io/library/busybox:latest", "registry-1.docker.io"},
		{"busybox:1.36", "docker://docker.io/library/busybox:1.36", "registry-1.docker.io"},
		{"docker://user/app", "docker://docker.io/user/app:latest", "registry-1.docker.io"},
		{"docker://docker.io/app", "docker://docker.io/library/app:latest", "registry-1.docker.io"},
		{"docker://index.docker.io/a/b", "docker://docker.io/a/b:latest", "registry-1.docker.io"},
		{"docker://127.0.0.1:5000/x:tag", "docker://127.0.0.1:5000/x:tag", "127.0.0.1:5000"},
		{"docker://localhost/x", "docker://localhost/x:latest", "localhost"},
		{"docker://[::1]:5000/x", "docker://[::1]:5000/x:latest", "[::1]:5000"},
		{"docker://[::1]/x", "docker://[::1]/x:latest", "[::1]"},
		{"docker://Reg.Example/a/b/c:v1.0_x-y", "docker://reg.example/a/b/c:v1.0_x-y", "reg.example"},
		{"docker://x@" + dgst, "docker://docker.io/library/x@" + dgst, "registry-1.docker.io"},
		{"docker://x:1@" + dgst, "docker://docker.io/library/x@" + dgst, "registry-1.docker.io"},
		{"docker://r.example/a__b/c--d/e.f", "docker://r.example/a__b/c--d/e.f:latest", "r.example"},
	}
	for _, tt := range tests {
		r, err := ParseDocker(tt.in)
		if err != nil || r.String() != tt.canonical || r.APIHost() != tt.host {
			t.Errorf("%s: %v, host %s, %v", tt.in, r, r.APIHost(), err)
		}
	}
}

func TestParseDockerRefuses(t *testing.T) {
	long := strings.Repeat("a", 256)
	for in, text := range map[string]string{
		"docker://":                      "no repository",
		"docker://reg.example/":          "no repository",
		"docker://:5000/x":               "host",
		"docker://reg.example:0/x":       "host",
		"docker://reg.example:99999/x":   "host",
		"docker://reg.example:/x":        "host",
		"docker://[::1/x":                "host",
		"docker://[fe80::1%eth0]:5000/x": "host",
		"docker://re..g/x":               "host",
		"docker://user:pw@reg.example/x": "digest",
		"docker://x@sha256:abc":          "digest",
		"docker://x@md5:" + dgst[7:39]:   "digest",
		"docker://Library/X":             "lower case",
		"docker://a//b":                  "component",
		"docker://reg.example/../../etc": "component",
		"docker://reg.example/a?b=c":     "component",
		"docker://reg.example/a%2fb":     "component",
		"docker://x:":                    "tag",
		"docker://x:-a":                  "tag",
		"docker://x:a/b":                 "host", // then x:a is the host
		"docker://x:" + long[:129]:       "tag",
		"docker://reg.example/" + long:   "longer",
		"docker://reg.example/a\nb":      "component",
		"docker://reg.example\r\nX: y/a": "host",
	} {
		_, err := ParseDocker(in)
		if err == nil || fault.ReasonOf(err) != reason.ReferenceInvalid || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v, want something about %q", in, err, text)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("%q: control characters in %q", in, err)
		}
	}
}

func FuzzParseDocker(f *testing.F) {
	for _, s := range []string{"docker://busybox", "docker://127.0.0.1:5000/x:tag@" + dgst, "docker://[::1]:5000/x", "a.b/c/d:e", "docker:////"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseDocker(s)
		if err != nil {
			if fault.ReasonOf(err) != reason.ReferenceInvalid {
				t.Fatalf("%q: %v has no reason", s, err)
			}
			return
		}
		again, err := ParseDocker(r.String())
		if err != nil || again != r {
			t.Fatalf("%q: %v reads back as %v, %v", s, r, again, err)
		}
		if strings.ContainsAny(r.String(), " \t\r\n\x00?#%\\\"") || strings.Contains(r.Repository, "..") {
			t.Fatalf("%q: accepted as %v", s, r)
		}
	})
}

func TestParseLocal(t *testing.T) {
	tests := []struct{ in, path, tag string }{
		{"oci:/d/layout", "/d/layout", ""},
		{"oci:/d/layout/", "/d/layout", ""},
		{"oci:///d/layout:v1", "/d/layout", "v1"},
		{"oci:/d/../e", "/e", ""},
		{"oci:/d/a:", "/d/a", ""},
		{"docker-archive:/d/x.tar:reg.example:5000/x:tag", "/d/x.tar", "reg.example:5000/x:tag"},
		{"oci:/d:t:u", "/d", "t:u"},
	}
	for _, tt := range tests {
		l, err := ParseLocal(tt.in)
		if err != nil || l.Path != tt.path || l.Tag != tt.tag {
			t.Errorf("%s: %+v, %v", tt.in, l, err)
		}
	}
	for _, in := range []string{"oci:", "oci", "oci:dir", "oci:../x:t", "oci::t", "oci:/a\x00b"} {
		if l, err := ParseLocal(in); fault.ReasonOf(err) != reason.ReferenceInvalid {
			t.Errorf("%q: %+v, %v", in, l, err)
		}
	}
}
