package engine

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/store"
	"github.com/rkt/rkt/v2/proto/ociapp"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// buildPod merges images and flags into what pod.json says. imgs are in the order of spec.Apps.
func (e *Engine) buildPod(spec PodSpec, imgs []*store.Image) (*poddir.Pod, error) {
	pod := &poddir.Pod{Schema: poddir.Schema, Hostname: spec.Hostname, Volumes: slices.Clone(spec.Volumes), Annotations: spec.Annotations}
	for i, a := range spec.Apps {
		app, err := e.buildApp(pod, spec, a, imgs[i])
		if err != nil {
			return nil, fmt.Errorf("prepare app of image %q: %w", a.Image, err)
		}
		pod.Apps = append(pod.Apps, *app)
	}
	if err := uniqueNames(pod.Apps); err != nil {
		return nil, err
	}
	var err error
	if pod.Ports, err = ports(spec.Ports, pod.Apps, imgs); err != nil {
		return nil, err
	}
	return pod, nil
}

func uniqueNames(apps []poddir.App) error {
	seen := map[string]bool{}
	for _, a := range apps {
		if seen[a.Name] {
			return fmt.Errorf("multiple apps with name %q: give one of them another with --name after its image", a.Name)
		}
		seen[a.Name] = true
	}
	return nil
}

func (e *Engine) buildApp(pod *poddir.Pod, spec PodSpec, a AppSpec, img *store.Image) (*poddir.App, error) {
	if a.Name != "" && !image.ValidAppName(a.Name) {
		return nil, fmt.Errorf("--name: %q is not of the form a-z0-9 with single dashes inside, at most 63 characters", a.Name)
	}
	cfg := img.Config.Config
	app := &poddir.App{
		Name:              a.Name,
		Image:             poddir.Image{Name: imageName(img), Manifest: img.Manifest, ID: img.ID},
		Argv:              argv(cfg, a),
		User:              first(a.User, cfg.User),
		Group:             a.Group,
		SupplementaryGIDs: a.SupplementaryGIDs,
		Dir:               path.Join("/", first(a.Dir, cfg.WorkingDir)),
		Env:               environment(spec, cfg.Env, a.Env),
		ReadOnlyRoot:      a.ReadOnlyRoot,
		Resources:         poddir.Resources{MemoryBytes: a.Memory, CPUMillis: a.CPUMillis, CPUShares: a.CPUShares, OOMScoreAdj: a.OOMScoreAdj},
		Seccomp:           poddir.Seccomp{Mode: poddir.SeccompDefault},
		UnprotectedPaths:  e.Config.Insecure.Paths,
		Stdin:             poddir.StdinNull,
		StopSignal:        first(a.StopSignal, cfg.StopSignal),
		Annotations:       a.Annotations,
	}
	if app.Name == "" {
		app.Name = appName(a.Image, img)
	}
	for _, l := range img.Layers {
		app.Rootfs.Layers = append(app.Rootfs.Layers, l.Dir)
	}
	if len(app.Argv) == 0 {
		return nil, fmt.Errorf("the image names no command: give one with --exec=PROGRAM after the image")
	}
	for _, s := range append(slices.Clone(app.Argv), app.Env...) {
		if strings.ContainsRune(s, 0) {
			return nil, fmt.Errorf("%q holds a NUL byte, which no argument and no variable can", s)
		}
	}
	if spec.Interactive {
		app.Stdin = poddir.StdinStream
		if spec.Terminal {
			app.Stdin = poddir.StdinTTY
		}
	}
	extra := ociapp.App{}
	if img.App != nil {
		extra = *img.App
	}
	if app.Group == "" && a.User == "" {
		app.Group = extra.Group
	}
	if app.SupplementaryGIDs == nil {
		app.SupplementaryGIDs = extra.SupplementaryGIDs
	}
	for _, h := range extra.EventHandlers {
		app.Handlers = append(app.Handlers, poddir.EventHandler{Name: h.Name, Exec: h.Exec})
	}
	caps, err := e.isolate(app, extra.Isolators, a)
	if err != nil {
		return nil, err
	}
	app.Capabilities = caps
	if e.Config.Insecure.Seccomp {
		app.Seccomp.Mode = poddir.SeccompUnconfined
	}
	app.Mounts, err = mounts(pod, spec, a.Mounts, app.Name, cfg, extra.MountPoints)
	return app, err
}

// argv follows OCI: the user's arguments replace Cmd and keep Entrypoint; --exec replaces Entrypoint and,
// as its arguments meant nothing to the new program, Cmd too.
func argv(cfg ocispec.ImageConfig, a AppSpec) []string {
	if a.Exec != "" {
		return append([]string{a.Exec}, a.Args...)
	}
	args := a.Args
	if args == nil {
		args = cfg.Cmd
	}
	return append(slices.Clone(cfg.Entrypoint), args...)
}

// environment merges, weakest first: the caller's, the image's, --set-env-file, --set-env, --environment
// (rkt-features.md CLI-14).
func environment(spec PodSpec, imageEnv, appEnv []string) []string {
	var out []string
	at := map[string]int{}
	for _, list := range [][]string{spec.InheritEnv, imageEnv, spec.EnvFile, spec.Env, appEnv} {
		for _, kv := range list {
			k, _, ok := strings.Cut(kv, "=")
			if !ok || k == "" {
				continue // execve(2) can carry it, and nothing can make use of it
			}
			if i, ok := at[k]; ok {
				out[i] = kv
				continue
			}
			at[k] = len(out)
			out = append(out, kv)
		}
	}
	return out
}

// mounts places volumes: the app's own mounts win over the pod's on the same target. What the image wants
// mounted and nobody gave becomes an empty volume of the pod, filled from the image as Docker does.
func mounts(pod *poddir.Pod, spec PodSpec, own []poddir.Mount, app string, cfg ocispec.ImageConfig, points []ociapp.MountPoint) ([]poddir.Mount, error) {
	given := func(name string) bool {
		return slices.ContainsFunc(spec.Volumes, func(v poddir.Volume) bool { return v.Name == name })
	}
	var out []poddir.Mount
	taken := map[string]bool{}
	add := func(m poddir.Mount) {
		m.Target = path.Clean("/" + m.Target)
		if !taken[m.Target] {
			taken[m.Target] = true
			out = append(out, m)
		}
	}
	for _, m := range append(slices.Clone(own), spec.Mounts...) {
		if !given(m.Volume) {
			return nil, fmt.Errorf("mount at %s: no volume is called %q (add --volume=%s,kind=host,source=PATH)", m.Target, m.Volume, m.Volume)
		}
		add(m)
	}
	for _, p := range points {
		target := path.Clean("/" + p.Path)
		if taken[target] || target == "/" {
			continue
		}
		// appc: a volume of the mount point's name is meant for it.
		name := p.Name
		if !given(name) {
			name = emptyVolume(pod, app, p.Name)
		}
		add(poddir.Mount{Volume: name, Target: target, ReadOnly: p.ReadOnly})
	}
	for _, target := range sortedKeys(cfg.Volumes) {
		target = path.Clean("/" + target)
		if taken[target] || target == "/" {
			continue
		}
		add(poddir.Mount{Volume: emptyVolume(pod, app, strings.Trim(target, "/")), Target: target, CopyUp: true})
	}
	slices.SortStableFunc(out, func(a, b poddir.Mount) int { return strings.Compare(a.Target, b.Target) })
	return out, nil
}

// maxVolumeName keeps what an image makes a volume's name of well below a file name's limit.
const maxVolumeName = 100

// emptyVolume adds an empty volume to the pod and returns its name: APP-NAME, with what of the image's text can
// be part of a directory's name, and a number when that name is taken.
func emptyVolume(pod *poddir.Pod, app, name string) string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, name)
	base := app + "-" + safe[:min(len(safe), maxVolumeName)]
	unique := base
	for n := 2; slices.ContainsFunc(pod.Volumes, func(v poddir.Volume) bool { return v.Name == unique }); n++ {
		unique = fmt.Sprintf("%s-%d", base, n)
	}
	pod.Volumes = append(pod.Volumes, poddir.Volume{Name: unique, Kind: poddir.VolumeEmpty, Mode: 0o755})
	return unique
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// appName is made of the image's own name when what the user typed has none, as an ID.
func appName(typed string, img *store.Image) string {
	for _, name := range append([]string{typed}, img.Names...) {
		if ref, err := image.Parse(name); err == nil && ref.Scheme != image.ID {
			return image.AppName(ref)
		}
	}
	return "app"
}

func imageName(img *store.Image) string {
	if len(img.Names) > 0 {
		return img.Names[0]
	}
	return img.ID
}

func first(values ...string) string {
	for _, s := range values {
		if s != "" {
			return s
		}
	}
	return ""
}

// isolatorSet is appc's os/linux/capabilities-{retain,remove}-set.
type isolatorSet struct {
	Set []string `json:"set"`
}

// isolatorLimit is appc's resource/{memory,cpu}.
type isolatorLimit struct {
	Limit string `json:"limit"`
}

func decode[T any](i ociapp.Isolator) (T, error) {
	var v T
	if err := json.Unmarshal(i.Value, &v); err != nil {
		return v, fmt.Errorf("isolator %s: %w", i.Name, err)
	}
	return v, nil
}
