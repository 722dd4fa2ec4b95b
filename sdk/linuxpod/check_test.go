package linuxpod

import (
	"errors"
	"os"
	"testing"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

func TestCheck(t *testing.T) {
	good := poddir.App{Name: "a", Capabilities: []string{"CAP_CHOWN"}, Seccomp: poddir.Seccomp{Mode: poddir.SeccompDefault}}
	for field, change := range map[string]func(*poddir.Pod){
		"":                      func(*poddir.Pod) {},
		"apps[0].capabilities":  func(p *poddir.Pod) { p.Apps[0].Capabilities = []string{"CAP_FLY"} },
		"apps[0].stopSignal":    func(p *poddir.Pod) { p.Apps[0].StopSignal = "SIGNOPE" },
		"apps[0].seccomp.mode":  func(p *poddir.Pod) { p.Apps[0].Seccomp.Mode = "" },
		"apps[0].stdin":         func(p *poddir.Pod) { p.Apps[0].Stdin = "telepathy" },
		"apps[0].rootfs.layers": func(p *poddir.Pod) { p.Apps[0].Rootfs.Layers = make([]string, 501) },
		"apps[0].handlers":      func(p *poddir.Pod) { p.Apps[0].Handlers = []poddir.EventHandler{{Name: "mid-life"}} },
		"apps":                  func(p *poddir.Pod) { p.Apps[0].Stdin = poddir.StdinTTY; p.Apps = append(p.Apps, p.Apps[0]) },
		"volumes[0].kind":       func(p *poddir.Pod) { p.Volumes = []poddir.Volume{{Name: "v", Kind: "cloud"}} },
	} {
		p := poddir.Pod{Apps: []poddir.App{good}}
		change(&p)
		ds := Check(&p)
		if len(ds) != min(len(field), 1) || len(ds) > 0 && (ds[0].Field != field || ds[0].Severity != plugin.SeverityError || ds[0].Summary == "") {
			t.Errorf("%s: %+v", field, ds)
		}
	}
}

// What never started has no apps to name, and nothing to remove.
func TestNeverPrepared(t *testing.T) {
	dir := t.TempDir()
	if _, err := Apps(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("apps: %v", err)
	}
	if _, err := Stats(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stats: %v", err)
	}
}

func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	pod := &poddir.Pod{Apps: []poddir.App{
		{Name: "a", Capabilities: []string{"CAP_CHOWN"}, Seccomp: poddir.Seccomp{Mode: poddir.SeccompDefault}},
		{Name: "b", Seccomp: poddir.Seccomp{Mode: poddir.SeccompUnconfined}},
	}}
	o := Options{PodDir: dir, Pod: pod, Runtime: &poddir.Runtime{}, Streams: map[string]Streams{"b": {Stdout: 4, Stderr: 4}}}
	for range 2 { // the same again is the same
		if err := Prepare(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		names, err := Apps(dir)
		if err != nil || len(names) != 2 || names[0] != "a" || names[1] != "b" {
			t.Errorf("%v, %v", names, err)
		}
	}
	if _, err := CgroupDirs(dir, "c"); err == nil {
		t.Error("an app that is not there has cgroups")
	}
	pod.Apps[0].Capabilities = []string{"CAP_FLY"}
	if err := Prepare(t.Context(), o); err == nil {
		t.Error("a capability of no kernel")
	}
}
