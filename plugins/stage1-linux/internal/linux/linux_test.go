package linux

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
	"github.com/rkt/rkt/v2/sdk/stage1"
)

func podDir(t *testing.T, p poddir.Pod) string {
	t.Helper()
	dir := t.TempDir()
	p.Schema = poddir.Schema
	if err := poddir.WriteJSON(dir, poddir.PodFile, p); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestValidate(t *testing.T) {
	good := poddir.App{Name: "a", Capabilities: []string{"CAP_CHOWN"}, Seccomp: poddir.Seccomp{Mode: poddir.SeccompDefault}}
	for _, tc := range []struct {
		field  string
		change func(*poddir.Pod)
	}{
		{"", func(*poddir.Pod) {}},
		{"apps[0].capabilities", func(p *poddir.Pod) { p.Apps[0].Capabilities = []string{"CAP_FLY"} }},
		{"apps[0].stopSignal", func(p *poddir.Pod) { p.Apps[0].StopSignal = "SIGNOPE" }},
		{"apps[0].seccomp.mode", func(p *poddir.Pod) { p.Apps[0].Seccomp.Mode = "" }},
		{"apps[0].stdin", func(p *poddir.Pod) { p.Apps[0].Stdin = "telepathy" }},
		{"apps[0].rootfs.layers", func(p *poddir.Pod) { p.Apps[0].Rootfs.Layers = make([]string, 501) }},
		{"apps[0].handlers", func(p *poddir.Pod) { p.Apps[0].Handlers = []poddir.EventHandler{{Name: "mid-life"}} }},
		{"apps", func(p *poddir.Pod) {
			p.Apps[0].Stdin = poddir.StdinTTY
			p.Apps = append(p.Apps, p.Apps[0])
		}},
		{"volumes[0].kind", func(p *poddir.Pod) { p.Volumes = []poddir.Volume{{Name: "v", Kind: "cloud"}} }},
	} {
		p := poddir.Pod{Apps: []poddir.App{good}}
		tc.change(&p)
		ds, err := new(Stage1).Validate(t.Context(), podDir(t, p))
		if err != nil || len(ds) != min(len(tc.field), 1) || len(ds) > 0 && (ds[0].Field != tc.field || ds[0].Severity != plugin.SeverityError || ds[0].Summary == "") {
			t.Errorf("%s: %+v, %v", tc.field, ds, err)
		}
	}
}

func TestNotRunning(t *testing.T) {
	dir := podDir(t, poddir.Pod{})
	s := new(Stage1)
	if err := s.Stop(t.Context(), stage1.StopRequest{PodDir: dir}); err != nil {
		t.Errorf("stop of a pod that does not run: %v", err)
	}
	if err := s.Stop(t.Context(), stage1.StopRequest{PodDir: dir + "/gone"}); err != nil {
		t.Errorf("stop of a pod that is gone: %v", err)
	}
	_, err := s.Enter(t.Context(), stage1.EnterRequest{PodDir: dir, App: "a"})
	if pe := (*plugin.Error)(nil); !errors.As(err, &pe) || pe.Reason != reason.PodNotRunning {
		t.Errorf("enter of a pod that never started: %v", err)
	}
}

func TestProbe(t *testing.T) {
	fs, err := new(Stage1).Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fs {
		if f.ID == "" || f.Summary == "" || f.OK != (f.Remedy == "") {
			t.Errorf("%+v", f)
		}
		if os.Geteuid() == 0 && f.Required && !f.OK && !strings.Contains(f.ID, "root") {
			t.Logf("this host: %+v", f)
		}
	}
}
