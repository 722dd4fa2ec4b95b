package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/core/schema"
	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/proto/reason"
)

func pluginTable(t *testing.T, header []string, rows [][]string) string {
	t.Helper()
	var b bytes.Buffer
	if err := table(&b, header, rows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// samplePlugins are plugins in every state, one with words that would drive a terminal.
func samplePlugins() []pluginJSON {
	stage1 := &manifest.Manifest{Name: "stage1-linux", Version: "2.0.0", Provides: []manifest.Provision{{Service: manifest.ServiceStage1, Protocols: []uint32{1}, Flavor: "linux"}}}
	fetcher := &manifest.Manifest{Name: "fetcher-x", Version: "1\x1b[31m", Provides: []manifest.Provision{{Service: manifest.ServiceFetcher, Schemes: []string{"x", "y\tz"}}}}
	return []pluginJSON{
		{Name: "fetcher-x", Directory: "/usr/lib/rkt/plugins/fetcher-x", State: pluginOK, Manifest: fetcher},
		{Name: "half", Directory: "/etc/rkt/plugins.d/half", State: pluginBroken, Error: "there is no plugin.json in it"},
		{Name: "network-cni", Directory: "/etc/rkt/plugins.d/network-cni", State: pluginMasked, Masked: true, Manifest: &manifest.Manifest{Masked: true}},
		{Name: "stage1-linux", Directory: "/usr/local/lib/rkt/plugins/stage1-linux", State: pluginRefused, Error: "it is not the one that is pinned", Pin: engine.PinDiffers, Manifest: stage1},
		{Name: "stage1-linux", Directory: "/usr/lib/rkt/plugins/stage1-linux", State: pluginShadowed, ShadowedBy: "/usr/local/lib/rkt/plugins/stage1-linux", Manifest: stage1},
	}
}

func TestPluginTables(t *testing.T) {
	digest := strings.Repeat("ab", 32)
	uses := []engine.PluginUse{
		{Name: "stage1-linux", Version: "2.0.0", Digest: digest, Installed: true, Pods: []engine.PluginPod{
			{UUID: "u1", Kind: "stage1", State: pod.StateRunning}, {UUID: "u2", Kind: "stage1", State: pod.StateRunning}, {UUID: "u3", Kind: "stage1", State: pod.StateExited}}},
		{Name: "stage1-linux", Version: "1.0.0", Digest: strings.Repeat("cd", 32), Pods: []engine.PluginPod{{UUID: "u4", Kind: "stage1", State: pod.StatePrepared}}},
		{Name: "torn", Digest: "x", Missing: true, Pods: []engine.PluginPod{{UUID: "u5", Kind: "network", State: pod.StateExited}}},
	}
	checked := []configCheckJSON{
		newConfigCheckJSON(engine.Settings{Plugin: "a", File: "/etc/rkt/plugins/a.json", State: engine.SettingsInvalid, Findings: []schema.Finding{
			{Pointer: "/x/0", Summary: "is not known here"}, {Line: 3, Column: 1, Summary: "is no JSON"}, {Summary: `want "object"`}}}),
		newConfigCheckJSON(engine.Settings{Plugin: "b", File: "/etc/rkt/plugins/b.json", State: engine.SettingsValid}),
	}
	short, rows := useRows(uses, false)
	long, fullRows := useRows(uses, true)
	golden(t, "plugins.txt", pluginTable(t, []string{"NAME", "VERSION", "PROVIDES", "STATE", "PIN", "DIRECTORY"}, pluginRows(samplePlugins()))+
		"\n"+pluginTable(t, short, rows)+"\n"+pluginTable(t, long, fullRows)+
		"\n"+pluginTable(t, []string{"PLUGIN", "STATE", "FILE", "FINDING"}, configRows(checked)))
	var b bytes.Buffer
	if err := explain(&b, samplePlugins()); err != nil {
		t.Fatal(err)
	}
	golden(t, "plugins-why.txt", b.String())
	b.Reset()
	all := samplePlugins()
	printPlugin(&b, pluginDetailJSON{pluginJSON: all[3], Digest: digest, Files: map[string]string{"plugin.json": digest, "rkt-stage1-linux": digest},
		Others: all[4:], Pods: 3, ConfigFile: "/etc/rkt/plugins/stage1-linux.json", ConfigState: engine.SettingsAbsent, LastFailure: new(int64), OtherPods: 2})
	golden(t, "plugin.txt", b.String())
}

// What keeps a plugin from starting says whose fault it is, and so does the foot.
func TestPluginCheckStates(t *testing.T) {
	perr := func(r reason.Reason) *plugin.Error { return &plugin.Error{Plugin: "p", Reason: r, Message: "m"} }
	crashed := perr(reason.PluginCrashed)
	crashed.LastLog, crashed.LogFile = []string{"out of cheese"}, "/f"
	noProgram := perr(reason.PluginRefused)
	noProgram.Err = plugin.ErrNoProgram
	for _, c := range []struct {
		err   error
		state findingState
		foot  string
	}{
		{nil, findingOK, ""},
		{perr(reason.PluginRefused), findingRefused, "p is refused"},
		{noProgram, findingBroken, "p is broken"},
		{perr(reason.PluginProtocol), findingBroken, "p is broken"},
		{perr(reason.PluginTimeout), findingBroken, "p is broken"},
		{errors.New("m"), findingBroken, "p is broken"},
		{crashed, findingCrashed, "p crashed"},
		{perr(reason.ConfigInvalid), findingInvalid, "p is not configured rightly"},
		{perr(reason.HostUnfit), findingMissing, "1 plugin cannot work on this host as it is"},
	} {
		f := startFinding("p", c.err)
		foot := ""
		if err := verdict([]findingJSON{f, f}); err != nil {
			foot = err.Error()
			if exitCode(err) != 69 {
				t.Errorf("%v: exit status %d", c.err, exitCode(err))
			}
		}
		if f.State != c.state || foot != c.foot {
			t.Errorf("%v: %+v, %q", c.err, f, foot)
		}
	}
	rows := pluginTable(t, nil, findingRows([]findingJSON{startFinding("p", crashed)}))
	for _, want := range []string{"p  start  crashed  m\n", " log      out of cheese\n", " remedy   rkt plugin logs p shows what it wrote\n"} {
		if !strings.Contains(rows, want) {
			t.Errorf("%q is not in\n%s", want, rows)
		}
	}
	err := verdict([]findingJSON{{Plugin: "a", Required: true, State: findingRefused}, {Plugin: "b", Required: true, State: findingRefused}, {Plugin: "c", Required: true, State: findingMissing}})
	if want := "1 plugin cannot work on this host as it is; a, b are refused"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
