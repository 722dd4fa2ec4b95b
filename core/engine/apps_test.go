package engine

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/core/config"
	"github.com/rkt/rkt/v2/core/store"
	"github.com/rkt/rkt/v2/proto/ociapp"
	"github.com/rkt/rkt/v2/proto/poddir"
)

func img(c ocispec.ImageConfig, app *ociapp.App) *store.Image {
	i := &store.Image{ID: "sha256-1", Manifest: "sha256:2", Names: []string{"docker://docker.io/library/web:latest"}, App: app,
		Layers: []store.Layer{{Dir: "/l/1"}, {Dir: "/l/2"}}}
	i.Config.Config = c
	return i
}

func TestArgv(t *testing.T) {
	cfg := ocispec.ImageConfig{Entrypoint: []string{"/entry", "e1"}, Cmd: []string{"c1", "c2"}}
	for _, c := range []struct {
		name string
		cfg  ocispec.ImageConfig
		app  AppSpec
		want []string
	}{
		{"image's own", cfg, AppSpec{}, []string{"/entry", "e1", "c1", "c2"}},
		{"arguments replace Cmd", cfg, AppSpec{Args: []string{"x"}}, []string{"/entry", "e1", "x"}},
		{"no arguments replace Cmd, too", cfg, AppSpec{Args: []string{}}, []string{"/entry", "e1"}},
		{"exec replaces both", cfg, AppSpec{Exec: "/bin/sh"}, []string{"/bin/sh"}},
		{"exec with arguments", cfg, AppSpec{Exec: "/bin/sh", Args: []string{"-c", "x y"}}, []string{"/bin/sh", "-c", "x y"}},
		{"Cmd alone", ocispec.ImageConfig{Cmd: []string{"c"}}, AppSpec{}, []string{"c"}},
		{"Cmd alone with arguments", ocispec.ImageConfig{Cmd: []string{"c"}}, AppSpec{Args: []string{"x"}}, []string{"x"}},
		{"nothing", ocispec.ImageConfig{}, AppSpec{}, nil},
	} {
		if got := argv(c.cfg, c.app); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	argv(cfg, AppSpec{Args: []string{"x"}})
	if !slices.Equal(cfg.Entrypoint, []string{"/entry", "e1"}) {
		t.Error("the image's configuration was changed")
	}
}

func TestEnvironment(t *testing.T) {
	spec := PodSpec{InheritEnv: []string{"A=host", "H=host", "PATH=/host"}, EnvFile: []string{"A=file", "F=file"}, Env: []string{"A=set", "S=set"}}
	for _, c := range []struct {
		name       string
		spec       PodSpec
		image, app []string
		want       string
	}{
		{"weakest first", spec, []string{"A=image", "PATH=/image"}, []string{"A=app"}, "A=app H=host PATH=/image F=file S=set"},
		{"without the app's own", spec, []string{"A=image"}, nil, "A=set H=host PATH=/host F=file S=set"},
		{"image alone", PodSpec{}, []string{"A=1", "B=2", "A=3"}, nil, "A=3 B=2"},
		{"an empty value counts", PodSpec{Env: []string{"A="}}, []string{"A=1"}, nil, "A="},
		{"a value with =", PodSpec{Env: []string{"A=b=c"}}, nil, nil, "A=b=c"},
		{"what is no variable", PodSpec{}, []string{"NOVALUE", "=x", "", "A=1"}, nil, "A=1"},
	} {
		if got := strings.Join(environment(c.spec, c.image, c.app), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestMounts(t *testing.T) {
	spec := PodSpec{
		Volumes: []poddir.Volume{{Name: "data", Kind: poddir.VolumeHost, Source: "/srv"}, {Name: "logs", Kind: poddir.VolumeEmpty}},
		Mounts:  []poddir.Mount{{Volume: "data", Target: "/data"}, {Volume: "logs", Target: "/var/log/"}},
	}
	for _, c := range []struct {
		name    string
		own     []poddir.Mount
		volumes []string
		points  []ociapp.MountPoint
		want    string
		err     string
	}{
		{"the pod's", nil, nil, nil, "data:/data logs:/var/log", ""},
		{"the app's wins on the same cleaned target", []poddir.Mount{{Volume: "logs", Target: "//data/."}}, nil, nil, "logs:/data logs:/var/log", ""},
		{"duplicates collapse to the first", []poddir.Mount{{Volume: "logs", Target: "/x"}, {Volume: "data", Target: "/x/"}}, nil, nil, "data:/data logs:/var/log logs:/x", ""},
		{"parents first", []poddir.Mount{{Volume: "logs", Target: "/data/deep/er"}, {Volume: "logs", Target: "/data-b"}}, nil, nil, "data:/data logs:/data-b logs:/data/deep/er logs:/var/log", ""},
		{"no such volume", []poddir.Mount{{Volume: "nope", Target: "/x"}}, nil, nil, "", `mount at /x: no volume is called "nope" (add --volume=nope,kind=host,source=PATH)`},
		{"what an image wants gets an empty volume", nil, []string{"/var/lib/db", "/data"}, nil, "data:/data app-var-lib-db:/var/lib/db+ logs:/var/log", ""},
		{"a mount point by its volume's name", nil, nil, []ociapp.MountPoint{{Name: "data", Path: "/mnt", ReadOnly: true}, {Name: "other", Path: "/other"}}, "data:/data data:/mnt! app-other:/other logs:/var/log", ""},
		{"not the root", nil, []string{"/", "//", "/.."}, []ociapp.MountPoint{{Name: "r", Path: "/"}, {Name: "s", Path: "../.."}}, "data:/data logs:/var/log", ""},
		{"names that are alike", nil, []string{"/a/b", "/a-b"}, nil, "app-a-b:/a-b+ app-a-b-2:/a/b+ data:/data logs:/var/log", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := &poddir.Pod{Volumes: slices.Clone(spec.Volumes)}
			cfg := ocispec.ImageConfig{Volumes: map[string]struct{}{}}
			for _, v := range c.volumes {
				cfg.Volumes[v] = struct{}{}
			}
			out, err := mounts(pod, spec, c.own, "app", cfg, c.points)
			if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Fatalf("%v, want %q", err, c.err)
			}
			var got []string
			for _, m := range out {
				s := m.Volume + ":" + m.Target
				if m.CopyUp {
					s += "+"
				}
				if m.ReadOnly {
					s += "!"
				}
				got = append(got, s)
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("%s\nwant %s", s, c.want)
			}
		})
	}
}

// What an image or a converter says names a directory of the host: it must stay one name, and each its own.
func TestVolumeNamesAreSafe(t *testing.T) {
	safe := regexp.MustCompile(`^app-[A-Za-z0-9._-]*$`)
	var points []ociapp.MountPoint
	for i, name := range []string{"/../../../etc", "..", "", "a\x00b", "a\nb", "é", strings.Repeat("x", 5000), "same", "same"} {
		points = append(points, ociapp.MountPoint{Name: name, Path: fmt.Sprintf("/m%d", i)})
	}
	pod := &poddir.Pod{}
	cfg := ocispec.ImageConfig{Volumes: map[string]struct{}{"/../../x": {}, "/" + strings.Repeat("y/", 3000): {}, "/a b": {}}}
	out, err := mounts(pod, PodSpec{}, nil, "app", cfg, points)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != len(points)+3 || len(pod.Volumes) != len(out) {
		t.Errorf("%d mounts, %d volumes", len(out), len(pod.Volumes))
	}
	seen := map[string]bool{}
	for _, v := range pod.Volumes {
		if !safe.MatchString(v.Name) || len(v.Name) > 200 || seen[v.Name] || path.Base(v.Name) != v.Name {
			t.Errorf("volume %q", v.Name)
		}
		seen[v.Name] = true
	}
}

func TestBuildPod(t *testing.T) {
	e := &Engine{}
	cfg := ocispec.ImageConfig{Cmd: []string{"/app"}, User: "1000:1000", WorkingDir: "srv", StopSignal: "SIGQUIT", Env: []string{"A=1"}}
	extra := &ociapp.App{Group: "staff", SupplementaryGIDs: []uint32{7}, EventHandlers: []ociapp.EventHandler{{Name: "pre-start", Exec: []string{"/p"}}}}
	pod, err := e.buildPod(PodSpec{Apps: []AppSpec{{Image: "docker://web"}, {Image: "x", Name: "two", User: "0", Dir: "/w", StopSignal: "9"}}, Hostname: "h"},
		[]*store.Image{img(cfg, extra), img(cfg, extra)})
	if err != nil {
		t.Fatal(err)
	}
	one, two := pod.Apps[0], pod.Apps[1]
	if one.Name != "web" || one.User != "1000:1000" || one.Group != "staff" || one.Dir != "/srv" || one.StopSignal != "SIGQUIT" ||
		one.Stdin != poddir.StdinNull || !slices.Equal(one.SupplementaryGIDs, []uint32{7}) || len(one.Handlers) != 1 ||
		!slices.Equal(one.Rootfs.Layers, []string{"/l/1", "/l/2"}) || one.Seccomp.Mode != poddir.SeccompDefault || one.Image.ID != "sha256-1" {
		t.Errorf("%+v", one)
	}
	// A user of the caller's choice does not get the image's group.
	if two.Name != "two" || two.User != "0" || two.Group != "" || two.Dir != "/w" || two.StopSignal != "9" {
		t.Errorf("%+v", two)
	}
	for _, c := range []struct {
		apps []AppSpec
		cfg  ocispec.ImageConfig
		want string
	}{
		{[]AppSpec{{Image: "docker://web"}, {Image: "docker://other/web:2"}}, cfg, `multiple apps with name "web": give one of them another with --name after its image`},
		{[]AppSpec{{Image: "web", Name: "../../etc"}}, cfg, `--name: "../../etc" is not of the form`},
		{[]AppSpec{{Image: "web", Name: strings.Repeat("a", 64)}}, cfg, "at most 63 characters"},
		{[]AppSpec{{Image: "web"}}, ocispec.ImageConfig{}, "the image names no command: give one with --exec=PROGRAM after the image"},
		{[]AppSpec{{Image: "web"}}, ocispec.ImageConfig{Cmd: []string{"a\x00b"}}, "holds a NUL byte"},
		{[]AppSpec{{Image: "web"}}, ocispec.ImageConfig{Cmd: []string{"a"}, Env: []string{"A=\x00"}}, "holds a NUL byte"},
	} {
		imgs := []*store.Image{}
		for range c.apps {
			imgs = append(imgs, img(c.cfg, nil))
		}
		if _, err := e.buildPod(PodSpec{Apps: c.apps}, imgs); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestInteractive(t *testing.T) {
	for _, c := range []struct {
		interactive, terminal bool
		want                  poddir.Stdin
	}{{false, true, poddir.StdinNull}, {true, false, poddir.StdinStream}, {true, true, poddir.StdinTTY}} {
		pod, err := (&Engine{}).buildPod(PodSpec{Apps: []AppSpec{{Image: "web"}}, Interactive: c.interactive, Terminal: c.terminal},
			[]*store.Image{img(ocispec.ImageConfig{Cmd: []string{"a"}}, nil)})
		if err != nil || pod.Apps[0].Stdin != c.want {
			t.Errorf("%+v: %+v, %v", c, pod, err)
		}
	}
}

func TestIsolate(t *testing.T) {
	iso := func(name, value string) ociapp.Isolator {
		return ociapp.Isolator{Name: name, Value: json.RawMessage(value)}
	}
	adj := 7
	for _, c := range []struct {
		name string
		iso  []ociapp.Isolator
		app  AppSpec
		res  poddir.Resources
		caps string
		err  string
	}{
		{"default", nil, AppSpec{}, poddir.Resources{}, strings.Join(defaultCapabilities(), " "), ""},
		{"limits of the image", []ociapp.Isolator{iso("resource/memory", `{"limit":"1Mi"}`), iso("resource/cpu", `{"limit":"500m","request":"1"}`), iso("os/linux/cpu-shares", `100`), iso("os/linux/oom-score-adj", `7`), iso("os/linux/capabilities-retain-set", `{"set":["CAP_CHOWN"]}`)},
			AppSpec{}, poddir.Resources{MemoryBytes: 1 << 20, CPUMillis: 500, CPUShares: 100, OOMScoreAdj: &adj}, "CAP_CHOWN", ""},
		{"flags win", []ociapp.Isolator{iso("resource/memory", `{"limit":"1Mi"}`), iso("os/linux/oom-score-adj", `9`), iso("os/linux/capabilities-retain-set", `{"set":["CAP_CHOWN"]}`)},
			AppSpec{Memory: 4096, OOMScoreAdj: &adj, CapsRetain: []string{"kill"}}, poddir.Resources{MemoryBytes: 4096, OOMScoreAdj: &adj}, "CAP_KILL", ""},
		{"empty retain set", []ociapp.Isolator{iso("os/linux/capabilities-retain-set", `{"set":[]}`)}, AppSpec{}, poddir.Resources{}, "", ""},
		{"a limit that is not given", []ociapp.Isolator{iso("resource/memory", `{"request":"1Mi"}`)}, AppSpec{CapsRetain: []string{"cap_kill", "KILL"}}, poddir.Resources{}, "CAP_KILL", ""},
		{"an unknown one is reported", []ociapp.Isolator{iso("os/linux/selinux-context", `{}`)}, AppSpec{CapsRetain: []string{"kill"}}, poddir.Resources{}, "CAP_KILL", ""},
		{"both sets", nil, AppSpec{CapsRetain: []string{"kill"}, CapsRemove: []string{"chown"}}, poddir.Resources{}, "", "retained or removed, not both"},
		{"no capability", nil, AppSpec{CapsRemove: []string{"CAP_FLY"}}, poddir.Resources{}, "", `"CAP_FLY" is no Linux capability`},
		{"bad limit", []ociapp.Isolator{iso("resource/memory", `{"limit":"lots"}`)}, AppSpec{}, poddir.Resources{}, "", `isolator resource/memory: "lots" is no quantity`},
		{"bad value", []ociapp.Isolator{iso("os/linux/cpu-shares", `"many"`)}, AppSpec{}, poddir.Resources{}, "", "isolator os/linux/cpu-shares"},
		{"shares out of range", []ociapp.Isolator{iso("os/linux/cpu-shares", `1`)}, AppSpec{}, poddir.Resources{}, "", "1 is not between 2 and 262144"},
		{"score out of range", []ociapp.Isolator{iso("os/linux/oom-score-adj", `-1001`)}, AppSpec{}, poddir.Resources{}, "", "-1001 is not between"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var warned []string
			e := &Engine{Observer: Observer{Warn: func(s string) { warned = append(warned, s) }}}
			app := &poddir.App{Name: "a", Resources: poddir.Resources{MemoryBytes: c.app.Memory, CPUMillis: c.app.CPUMillis, CPUShares: c.app.CPUShares, OOMScoreAdj: c.app.OOMScoreAdj}}
			caps, err := e.isolate(app, c.iso, c.app)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("%v, want %q", err, c.err)
			}
			if err != nil {
				return
			}
			if caps == nil || strings.Join(caps, " ") != c.caps {
				t.Errorf("capabilities %#v", caps)
			}
			got, _ := json.Marshal(app.Resources)
			want, _ := json.Marshal(c.res)
			if string(got) != string(want) {
				t.Errorf("%s, want %s", got, want)
			}
			if strings.Contains(c.name, "reported") != (len(warned) == 1) {
				t.Errorf("warned %q", warned)
			}
		})
	}
	e := &Engine{Config: config.Config{Insecure: config.Insecure{Capabilities: true}}}
	if caps, err := e.isolate(&poddir.App{}, nil, AppSpec{}); err != nil || len(caps) != 41 {
		t.Errorf("insecure: %d, %v", len(caps), err)
	}
}

func TestPorts(t *testing.T) {
	exposed := img(ocispec.ImageConfig{ExposedPorts: map[string]struct{}{"80/tcp": {}, "53/udp": {}, "junk": {}}}, nil)
	named := img(ocispec.ImageConfig{}, &ociapp.App{Ports: []ociapp.Port{{Name: "http", Protocol: "tcp", Port: 8080}}})
	for _, c := range []struct {
		specs []PortSpec
		imgs  []*store.Image
		want  string
		err   string
	}{
		{[]PortSpec{{Name: "80-tcp", HostPort: 8000}}, []*store.Image{exposed}, "8000->80/tcp", ""},
		{[]PortSpec{{Name: "80", HostPort: 8000}, {Name: "53/udp", HostPort: 53}, {Name: "9", HostIP: "::1", HostPort: 9}}, []*store.Image{exposed}, "8000->80/tcp 53->53/udp ::1:9->9/tcp", ""},
		{[]PortSpec{{Name: "http", HostPort: 80}}, []*store.Image{exposed, named}, "80->8080/tcp", ""},
		{[]PortSpec{{Name: "https", HostPort: 80}}, []*store.Image{exposed, named}, "", `no image of this pod names a port "https" (they name: 53-udp, 80-tcp, http;`},
		{[]PortSpec{{Name: "x", HostPort: 80}}, []*store.Image{img(ocispec.ImageConfig{}, nil)}, "", "they name: none"},
		{[]PortSpec{{Name: "http", HostPort: 80}}, []*store.Image{named, named}, "", `"http" is a port of the apps a0 and a1: give its number instead`},
		{[]PortSpec{{Name: "80", HostPort: 80}, {Name: "81", HostPort: 80}}, []*store.Image{exposed}, "", "host port 80/tcp is given twice (for 80 and 81)"},
		{[]PortSpec{{Name: "80", HostPort: 80, HostIP: "127.0.0.1"}, {Name: "81", HostPort: 80}}, []*store.Image{exposed}, "", "given twice"},
		{[]PortSpec{{Name: "80", HostPort: 80, HostIP: "127.0.0.1"}, {Name: "81", HostPort: 80, HostIP: "127.0.0.2"}}, []*store.Image{exposed}, "127.0.0.1:80->80/tcp 127.0.0.2:80->81/tcp", ""},
		{[]PortSpec{{Name: "53/tcp", HostPort: 53}, {Name: "53/udp", HostPort: 53}}, []*store.Image{exposed}, "53->53/tcp 53->53/udp", ""},
		{[]PortSpec{{Name: "0", HostPort: 1}}, nil, "", "names a port"},
		{[]PortSpec{{Name: "65536", HostPort: 1}}, nil, "", "names a port"},
		{[]PortSpec{{Name: "80/icmp", HostPort: 1}}, nil, "", "names a port"},
	} {
		var apps []poddir.App
		for i := range c.imgs {
			apps = append(apps, poddir.App{Name: fmt.Sprintf("a%d", i)})
		}
		out, err := ports(c.specs, apps, c.imgs)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: %v, want %q", c.specs, err, c.err)
			continue
		}
		var got []string
		for _, p := range out {
			s := fmt.Sprintf("%d->%d/%s", p.HostPort, p.PodPort, p.Protocol)
			if p.HostIP != "" {
				s = p.HostIP + ":" + s
			}
			got = append(got, s)
		}
		if s := strings.Join(got, " "); err == nil && s != c.want {
			t.Errorf("%s, want %s", s, c.want)
		}
	}
}

func TestChooseApp(t *testing.T) {
	two := []poddir.App{{Name: "a"}, {Name: "b"}}
	for _, c := range []struct {
		apps      []poddir.App
		in, want  string
		wantError string
	}{
		{two[:1], "", "a", ""},
		{two, "b", "b", ""},
		{two, "", "", "the pod has several apps; choose one with --app: a, b"},
		{two, "c", "", `the pod has no app "c"; its apps are a, b`},
		{nil, "", "", "the pod has no apps"},
	} {
		got, err := chooseApp(c.apps, c.in)
		if got != c.want || (err == nil) != (c.wantError == "") || err != nil && err.Error() != c.wantError {
			t.Errorf("%q: %q, %v", c.in, got, err)
		}
	}
}
