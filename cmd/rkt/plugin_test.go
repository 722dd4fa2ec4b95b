package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/core/schema"
	"github.com/rkt/rkt/v2/proto/manifest"
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
		Others: all[4:], Pods: 3, ConfigFile: "/etc/rkt/plugins/stage1-linux.json", ConfigState: engine.SettingsAbsent, LastFailure: new(int64)})
	golden(t, "plugin.txt", b.String())
}
