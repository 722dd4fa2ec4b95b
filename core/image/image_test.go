package image

import (
	"errors"
	"strings"
	"testing"
	"unicode"
)

var hex64 = strings.Repeat("0a", 32)

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, scheme, str string }{
		{"docker://busybox", Docker, "docker://docker.io/library/busybox:latest"},
		{"docker:busybox", Docker, "docker://docker.io/library/busybox:latest"},
		{"docker:dind", Docker, "docker://docker.io/library/dind:latest"},
		{"docker://docker.io/library/busybox:latest", Docker, "docker://docker.io/library/busybox:latest"},
		{"docker://docker.io/busybox", Docker, "docker://docker.io/library/busybox:latest"},
		{"docker://index.docker.io/busybox", Docker, "docker://docker.io/library/busybox:latest"},
		{"docker://user/app:v1", Docker, "docker://docker.io/user/app:v1"},
		{"docker://127.0.0.1:5000/x", Docker, "docker://127.0.0.1:5000/x:latest"},
		{"docker://[::1]:5000/x/y:1", Docker, "docker://[::1]:5000/x/y:1"},
		{"docker://localhost/x", Docker, "docker://localhost/x:latest"},
		{"docker://Quay.IO/a/b", Docker, "docker://quay.io/a/b:latest"},
		{"docker://q.io/a:t@sha256:" + hex64, Docker, "docker://q.io/a@sha256:" + hex64},
		{"oci:dir", OCI, "oci:dir"},
		{"oci:/d/e:reg.io/x:1", OCI, "oci:/d/e:reg.io/x:1"},
		{"oci-archive:f.tar:t", OCIArchive, "oci-archive:f.tar:t"},
		{"docker-archive:f.tar:x:1", DockerArchive, "docker-archive:f.tar:x:1"},
		{"aci://example.com/app", ACI, "aci://example.com/app"},
		{"aci://example.com/app:1.0,os=linux,arch=amd64", ACI, "aci://example.com/app:1.0,arch=amd64,os=linux"},
		{"aci://example.com/app,version=1.0", ACI, "aci://example.com/app:1.0"},
		{"aci://example.com/app:1%2C0", ACI, "aci://example.com/app:1%2C0"},
		{"/x/y.aci", ACIFile, "aci-file:/x/y.aci"},
		{"./y", ACIFile, "aci-file:./y"},
		{"../y z", ACIFile, "aci-file:../y z"},
		{"y.aci", ACIFile, "aci-file:y.aci"},
		{"aci-file:y", ACIFile, "aci-file:y"},
		{"file:///x/y.aci", ACIFile, "aci-file:/x/y.aci"},
		{"https://h.example/y.aci?token=1", HTTPS, "https://h.example/y.aci?token=1"},
		{"http://h:80/y.aci", HTTP, "http://h:80/y.aci"},
		{"sha256-abc", ID, "sha256-abc"},
		{"sha256:ABC", ID, "sha256-abc"},
		{"sha512-" + hex64, ID, "sha512-" + hex64},
		{"sha256-tools", Bare, "sha256-tools"},
		{"busybox", Bare, "busybox"},
		{"busybox:1.36", Bare, "busybox:1.36"},
		{"127.0.0.1:5000/x:1", Bare, "127.0.0.1:5000/x:1"},
		{"example.com/app:1,os=linux", Bare, "example.com/app:1,os=linux"},
		{"s3://bucket/Key With Space", "s3", "s3://bucket/Key With Space"},
	} {
		r, err := Parse(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if r.Scheme != c.scheme || r.String() != c.str || r.Raw != c.in {
			t.Errorf("%s: %+v (%s), want %s %s", c.in, r, r, c.scheme, c.str)
		}
		again, err := Parse(r.String())
		if err != nil || again.String() != r.String() || again.Scheme != r.Scheme {
			t.Errorf("%s: parsed again %+v, %v", r, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{
		"", " ", "docker://", "docker://UPPER", "docker://x:", "docker://x:a b", "docker://x@sha256:12",
		"docker://x@md5:" + hex64, "docker://-x", "docker://a//b", "docker://h.io/", "docker://h.io:port/x",
		"docker://" + strings.Repeat("a", 300), "docker://../x", "oci:", "oci::tag", "aci://UP", "aci://x,y",
		"aci://x,a=1,a=2", "aci://x:1,version=2", "aci://x,name=y", "aci://x:1:2%", "file://rel", "file:x",
		"https://h/x", "https://h", "https://user:pw@h/x.aci", "sha256-", "sha256-a", "sha256-" + hex64 + "0",
		"a\x1b[31mb", "docker://x\n", "\x00", "x\u202ey", "\xff", "docker://x\t", strings.Repeat("x", 5000), "UPPER",
	} {
		if r, err := Parse(s); err == nil {
			t.Errorf("%q: parsed as %+v", s, r)
		} else if !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", s, err)
		} else if i := strings.IndexFunc(err.Error(), unicode.IsControl); i >= 0 {
			t.Errorf("%q: control character in %q", s, err)
		}
	}
}

func TestCandidates(t *testing.T) {
	for _, c := range []struct {
		in     string
		search []string
		want   string
	}{
		{"busybox", nil, "docker://docker.io/library/busybox:latest aci://busybox"},
		{"busybox", []string{ACI}, "aci://busybox"},
		{"a.io/x_y", nil, "docker://a.io/x_y:latest aci://a.io/x_y"},
		{"a.io/x__y", nil, "docker://a.io/x__y:latest"},
		{"a.io/x~y", nil, "aci://a.io/x~y"},
		{"x,os=linux", nil, "aci://x,os=linux"},
		{"docker://x", nil, "docker://docker.io/library/x:latest"},
	} {
		r, err := Parse(c.in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range r.Candidates(c.search) {
			got = append(got, x.String())
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", c.in, s, c.want)
		}
	}
}

func TestAbs(t *testing.T) {
	for in, want := range map[string]string{
		"oci:d/../e:tag":     "oci:/base/e:tag",
		"oci:/d//e":          "oci:/d/e",
		"./x.aci":            "aci-file:/base/x.aci",
		"../a:b.aci":         "aci-file:/a:b.aci",
		"docker-archive:x:y": "docker-archive:/base/x:y",
		"docker:x":           "docker://docker.io/library/x:latest",
	} {
		r, err := Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Abs("/base").String(); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestAppName(t *testing.T) {
	for in, want := range map[string]string{
		"docker://q.io/a/my_app:1.0":          "my-app",
		"docker://q.io/a@sha256:" + hex64:     "a",
		"aci://example.com/etcd:v3,os=x":      "etcd",
		"/x/Foo-1.0.aci":                      "foo-1-0",
		"oci:/tmp/busybox:docker.io/y:1":      "busybox",
		"https://h/a/b.aci?x=/y":              "b",
		"127.0.0.1:5000/x":                    "x",
		"sha256-abcd":                         "app",
		"./---":                               "app",
		"/":                                   "app",
		"docker://" + strings.Repeat("a", 90): strings.Repeat("a", 63),
	} {
		r, err := Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppName(r); got != want || !ValidAppName(got) {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	if got := Printable("a\x1b[2Jb\u202ec\n\xffé"); got != "a\uFFFD[2Jb\uFFFDc\uFFFD\uFFFDé" {
		t.Errorf("%q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"docker://busybox", "docker:a@sha256:" + hex64, "oci:a:b", "aci://a:1,b=%2C", "./x", "sha256:ab",
		"https://h/x.aci", "x:y:z", "s3://x", "127.0.0.1:5000/x/y:z", "docker://[::1]:1/x", "file:///", "a\x1b", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || r != (Ref{}) {
				t.Fatalf("%q: %+v, %v", s, r, err)
			}
			return
		}
		if checkText(r.Rest) != nil {
			t.Fatalf("%q: rest %q", s, r.Rest)
		}
		// The normal form is a fixed point.
		again, err := Parse(r.String())
		if err != nil || again.String() != r.String() || again.Scheme != r.Scheme {
			t.Fatalf("%q: %s, again %+v, %v", s, r, again, err)
		}
		if !ValidAppName(AppName(r)) {
			t.Fatalf("%q: app name %q", s, AppName(r))
		}
		if abs := r.Abs("/b"); r.IsLocal() {
			if path, _, _ := abs.Path(); !strings.HasPrefix(path, "/") {
				t.Fatalf("%q: %s is not absolute", s, abs)
			}
		}
		for _, c := range r.Candidates(nil) {
			if c.Scheme == Bare {
				t.Fatalf("%q: bare candidate", s)
			}
		}
	})
}
