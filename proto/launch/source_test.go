package launch

import "testing"

func TestSourcePath(t *testing.T) {
	for reference, want := range map[string]struct {
		path string
		own  bool
	}{
		"oci:/srv/layout":                     {"/srv/layout", true},
		"oci:/srv/layout:reg.io/x:1":          {"/srv/layout", true},
		"oci-archive:/srv/x.tar:1":            {"/srv/x.tar", true},
		"docker-archive:/srv/x.tar":           {"/srv/x.tar", true},
		"aci-file:/srv/a:b.aci":               {"/srv/a:b.aci", true},
		"path:///srv/image":                   {"/srv/image", false},
		"path:///srv/a:b":                     {"/srv/a:b", false},
		"path://srv/image":                    {"", false},
		"path:/srv/image":                     {"", false}, // no reference that rkt hands on
		"s3://bucket/key":                     {"", false},
		"docker://docker.io/library/x:latest": {"", false},
		"docker:///etc/passwd":                {"", false},
		"https:///etc/x.aci":                  {"", false},
		"aci://example.com/app":               {"", false},
		"":                                    {"", false},
		"path:":                               {"", false},
	} {
		if path, own := SourcePath(reference); path != want.path || own != want.own {
			t.Errorf("%q: %q %v, want %q %v", reference, path, own, want.path, want.own)
		}
	}
}
