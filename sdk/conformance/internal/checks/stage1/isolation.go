package stage1

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/pod"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/testapp"
)

// capabilities of the apps here, with their numbers (capability.h).
func capabilities() map[string]uint { return map[string]uint{"CAP_CHOWN": 0, "CAP_KILL": 5} }

func isoCapabilities(ctx context.Context, e *suite.Env) error {
	for _, user := range []string{"0", "1000"} {
		_, r, err := report(ctx, e, func(_ *pod.Pod, a *poddir.App) {
			a.User, a.Group, a.Capabilities = user, user, []string{"CAP_CHOWN", "CAP_KILL"}
		})
		if err != nil {
			return err
		}
		var want uint64
		for _, n := range capabilities() {
			want |= 1 << n
		}
		for _, set := range []string{"CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"} {
			got, err := strconv.ParseUint(r.Status[set], 16, 64)
			if err != nil {
				return err
			}
			if got&^want != 0 {
				return fmt.Errorf("user %s: %s is %016x, pod.json names %016x", user, set, got, want)
			}
			if user != "0" && set != "CapBnd" && got != 0 {
				return fmt.Errorf("user %s: %s is %016x, and a user who is not root starts with none", user, set, got)
			}
		}
	}
	return nil
}

func isoSeccomp(ctx context.Context, e *suite.Env) error {
	_, r, err := report(ctx, e, nil)
	if err != nil {
		return err
	}
	if r.Status["Seccomp"] != "2" {
		return fmt.Errorf("with seccomp mode default, Seccomp of /proc/self/status is %q, want 2 (a filter)", r.Status["Seccomp"])
	}
	if r.Status["NoNewPrivs"] != "1" {
		return fmt.Errorf("with noNewPrivileges, NoNewPrivs of /proc/self/status is %q, want 1", r.Status["NoNewPrivs"])
	}
	return nil
}

func isoReadOnly(ctx context.Context, e *suite.Env) error {
	for _, words := range [][]string{{"write", "/new"}, {"write", "/data/image"}, {"remove", "/data/image"}} {
		a := pod.App("one", append(words, "exit", "0")...)
		a.ReadOnlyRoot = true
		p, code, err := ended(ctx, e, a)
		if err != nil {
			return err
		}
		if code != 3 {
			return fmt.Errorf("%s on a read-only root: the app ended with %d, want 3%s", strings.Join(words, " "), code, p.Said())
		}
	}
	return nil
}

func isoProcesses(ctx context.Context, e *suite.Env) error {
	p, r, err := report(ctx, e, nil)
	if err != nil {
		return err
	}
	if len(r.Processes) == 0 {
		return suite.Skip("the app has no /proc")
	}
	// Of a pod with one app there are its processes, an init or two, and in a machine the kernel's threads, all of
	// them the pod's own. The kit is none of those.
	self := strconv.Itoa(os.Getpid())
	if slices.Contains(r.Processes, os.Getpid()) && shares(r, "pid") {
		return fmt.Errorf("it sees process %s, which is the kit", self)
	}
	if slices.Contains(r.Processes, p.Pid()) && shares(r, "pid") {
		return errors.New("it sees its supervisor")
	}
	return nil
}

// shares says whether the app is in the kit's own namespace of a kind. That of another kernel may have the same number.
func shares(r *testapp.Report, kind string) bool {
	boot, err := os.ReadFile(testapp.BootID)
	ns, nerr := os.Readlink("/proc/self/ns/" + kind)
	same := err == nil && (r.Boot == "" || r.Boot == string(boot))
	return same && nerr == nil && r.Namespaces[kind] == ns
}

func isoRoot(ctx context.Context, e *suite.Env) error {
	p, r, err := report(ctx, e, nil)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(p.Layer)
	if err != nil {
		return err
	}
	want := []string{"proc", "sys", "dev", "etc", "run", "tmp"}
	for _, d := range entries {
		want = append(want, d.Name())
		if !slices.Contains(r.Root, d.Name()) {
			return fmt.Errorf("its root lacks the image's %s", d.Name())
		}
	}
	for _, name := range r.Root {
		if !slices.Contains(want, name) {
			return fmt.Errorf("its root holds %s, which is not its image's", name)
		}
	}
	return nil
}

func isoHostname(ctx context.Context, e *suite.Env) error {
	p, r, err := report(ctx, e, nil)
	if err != nil {
		return err
	}
	if r.Hostname != p.Doc.Hostname {
		return fmt.Errorf("its hostname is %q, want %q", r.Hostname, p.Doc.Hostname)
	}
	if shares(r, "net") {
		return errors.New("it lives in the host's network namespace, and its pod has one of its own")
	}
	for _, link := range r.Links {
		if link != "lo" && !strings.HasPrefix(link, "sit") && !strings.HasPrefix(link, "ip6") && !strings.HasPrefix(link, "tunl") && !strings.HasPrefix(link, "gre") && !strings.HasPrefix(link, "erspan") {
			return fmt.Errorf("it has the link %s in a namespace without one", link)
		}
	}
	return nil
}

func isoKernel(ctx context.Context, e *suite.Env) error {
	_, r, err := report(ctx, e, nil)
	if err != nil {
		return err
	}
	if r.Kcore == "done" {
		return errors.New("it can read /proc/kcore")
	}
	if r.SysWrite == "done" {
		return errors.New("it can write to /proc/sys")
	}
	return nil
}

// isoLayers: layers are shared by all pods of an image.
func isoLayers(ctx context.Context, e *suite.Env) error {
	p, code, err := ended(ctx, e, pod.App("one", "write", "/new", "write", "/data/image", "remove", "/data/plain", "exit", "0"))
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("writing to its root, the app ended with %d%s", code, p.Said())
	}
	b, err := os.ReadFile(filepath.Join(p.Layer, "data/image"))
	if err != nil || string(b) != "the image's\n" {
		return fmt.Errorf("a file of the image's layer was changed to %q: %w", b, err)
	}
	if _, err := os.Lstat(filepath.Join(p.Layer, "data/plain")); err != nil {
		return fmt.Errorf("a file of the image's layer was removed: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(p.Layer, "new")); err == nil {
		return errors.New("a file was added to the image's layer")
	}
	return nil
}

// isoApps: the second app looks a second after it was started; that the first has written by then is seen in the order of
// what they say.
func isoApps(ctx context.Context, e *suite.Env) error {
	p, code, err := ended(ctx, e, pod.App("one", "write", "/of-one", "exit", "0"), pod.App("two", "pause", "1000", "report", "two", "exit", "0"))
	if err != nil {
		return err
	}
	r := pod.Find(p.Lines(), "two")
	if code != 0 || r == nil || !strings.HasPrefix(p.Lines()[0], "wrote ") {
		return fmt.Errorf("two apps, of which one writes and the other looks, ended with %d%s", code, p.Said())
	}
	if slices.Contains(r.Root, "of-one") {
		return errors.New("it sees in its root what the pod's other app wrote into its own")
	}
	return nil
}

func isoVolume(ctx context.Context, e *suite.Env) error {
	if err := root(); err != nil {
		return err
	}
	one := pod.App("one", "write", "/vol/shared", "exit", "0")
	two := pod.App("two", "pause", "1000", "read", "/vol/shared", "write", "/vol/other", "exit", "0")
	one.Mounts = []poddir.Mount{{Volume: "v", Target: "/vol"}}
	two.Mounts = []poddir.Mount{{Volume: "v", Target: "/vol", ReadOnly: true}}
	p, err := newPod(e, one, two)
	if err != nil {
		return err
	}
	p.Doc.Volumes = []poddir.Volume{{Name: "v", Kind: poddir.VolumeEmpty, Mode: 0o755}}
	if err := errors.Join(p.Write(), os.MkdirAll(filepath.Join(p.Dir, poddir.VolumesDir, "v"), 0o755), launch(ctx, e, p)); err != nil {
		return err
	}
	code, err := p.Wait(e.Within(startLimit))
	if err != nil {
		return err
	}
	if !slices.Contains(p.Lines(), "read written") {
		return fmt.Errorf("an app does not read what the other wrote to their volume%s", p.Said())
	}
	if code != 3 {
		return fmt.Errorf("writing to a volume that it mounts read-only, the app ended with %d, want 3%s", code, p.Said())
	}
	return nil
}
