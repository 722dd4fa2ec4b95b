package engine

import (
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/manifest"
)

func TestRequirements(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // the caller's counts for nothing: a plugin does not get it
	entry := &plugin.Entry{Name: "x", Manifest: &manifest.Manifest{Requires: &manifest.Requires{
		Devices:  []string{"/dev/null", "/dev/no-such-device", "/etc/passwd"},
		Binaries: []string{"sh", "/bin/sh", "no-such-program", "/etc/passwd"},
	}}}
	want := []struct {
		id   string
		ok   bool
		says string
	}{
		{"device", true, "/dev/null"},
		{"device", false, "there is no device /dev/no-such-device"},
		{"device", false, "there is no device /etc/passwd"},
		{"binary", true, "/sh"},
		{"binary", true, "/bin/sh"},
		{"binary", false, "there is no program no-such-program in /usr/local/sbin:"},
		{"binary", false, "there is no program /etc/passwd"},
	}
	got := Requirements(entry)
	if len(got) != len(want) {
		t.Fatalf("%d findings", len(got))
	}
	for i, w := range want {
		f := got[i]
		if f.GetId() != w.id || f.GetOk() != w.ok || !f.GetRequired() || !strings.Contains(f.GetSummary(), w.says) || (f.GetRemedy() == "") != w.ok {
			t.Errorf("%v, want %+v", f, w)
		}
	}
	if fs := Requirements(&plugin.Entry{Manifest: &manifest.Manifest{}}); fs != nil {
		t.Errorf("%v", fs)
	}
}
