package plugin

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
)

// TestGreaseMessage: grease reaches every message below a request, and a reader of today finds what was said.
func TestGreaseMessage(t *testing.T) {
	said := &fetcherv1.FetchRequest{
		Reference: "docker://x", Platform: &fetcherv1.Platform{Os: "linux"},
		Access: &fetcherv1.Access{Credentials: []*fetcherv1.Credential{{Host: "a"}, {Host: "b"}}},
	}
	before := proto.Clone(said)
	b, err := proto.Marshal(greaseMessage(said).(proto.Message))
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(said, before) {
		t.Error("the caller's own message was changed")
	}
	heard := &fetcherv1.FetchRequest{}
	if err := proto.Unmarshal(b, heard); err != nil {
		t.Fatal(err)
	}
	for _, m := range []proto.Message{heard, heard.GetPlatform(), heard.GetAccess(), heard.GetAccess().GetCredentials()[0], heard.GetAccess().GetCredentials()[1]} {
		if !strings.Contains(string(m.ProtoReflect().GetUnknown()), greaseWord) {
			t.Errorf("%s has no grease", m.ProtoReflect().Descriptor().Name())
		}
	}
	if heard.GetReference() != "docker://x" || heard.GetAccess().GetCredentials()[1].GetHost() != "b" {
		t.Errorf("heard %v", heard)
	}
}

func TestGreaseEnum(t *testing.T) {
	silent := greaseMessage(&pluginv1.Diagnostic{}).(*pluginv1.Diagnostic)
	spoken := greaseMessage(&pluginv1.Diagnostic{Severity: pluginv1.Diagnostic_SEVERITY_ERROR}).(*pluginv1.Diagnostic)
	if silent.GetSeverity() != greaseEnum || spoken.GetSeverity() != pluginv1.Diagnostic_SEVERITY_ERROR {
		t.Errorf("%v, %v", silent.GetSeverity(), spoken.GetSeverity())
	}
	c := greaseMessage(&pluginv1.ConfigureRequest{CoreCapabilities: []string{"x"}}).(*pluginv1.ConfigureRequest)
	if !slices.Equal(c.GetCoreCapabilities(), []string{"x", greaseWord}) {
		t.Errorf("%v", c.GetCoreCapabilities())
	}
}

// TestGreaseStart: a plugin sees the grease of its start, and is asked and answers as without.
func TestGreaseStart(t *testing.T) {
	dir := place(t)
	o := options(dir, KindFetcher)
	o.Grease = true
	f := ask(t, start(t, install(t, dir, "good"), o), "")
	for _, want := range []string{greaseEnv, "PLUGIN_PROTOCOL_VERSIONS=1,31337", "RKT_FDS=rkt-grease:3"} {
		if !slices.Contains(f.Env, want) {
			t.Errorf("%q is not in %q", want, f.Env)
		}
	}
	if !slices.Contains(f.FDs, "3 /dev/null") {
		t.Errorf("descriptors %q", f.FDs)
	}
	if o.FDs != nil {
		t.Error("the caller's descriptors were changed")
	}
}
