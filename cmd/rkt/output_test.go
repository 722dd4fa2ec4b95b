package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/execute"
	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/core/store"
	"github.com/rkt/rkt/v2/core/verify"
	"github.com/rkt/rkt/v2/proto/poddir"
)

var update = flag.Bool("update", false, "write the golden files of this run")

// golden compares with testdata/NAME, which is what scripts of users read.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./cmd/rkt -update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s is not what it was:\n%s\nwant:\n%s", name, got, want)
	}
}

// infos are pods in every state that list shows.
func infos() []pod.Info {
	at := func(min int) time.Time { return time.Date(2026, 1, 2, 3, min, 5, 0, time.UTC) }
	id := func(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }
	app := func(name string) poddir.App {
		return poddir.App{Name: name, Image: poddir.Image{Name: "docker://docker.io/library/" + name + ":1", ID: "sha256-" + strings.Repeat("ab", 32)}}
	}
	web := app("web")
	web.Mounts = []poddir.Mount{{Volume: "data", Target: "/data"}, {Volume: "tmp", Target: "/tmp"}}
	web.Resources = poddir.Resources{MemoryBytes: 128 << 20, CPUMillis: 500}
	two := poddir.Pod{Created: at(1), Stage1: "linux", Apps: []poddir.App{web, app("side")}, Annotations: map[string]string{"owner": "ops"},
		Volumes: []poddir.Volume{{Name: "data", Kind: poddir.VolumeHost, Source: "/srv", ReadOnly: true}, {Name: "tmp", Kind: poddir.VolumeEmpty}}}
	net := &poddir.Runtime{Network: poddir.Network{Interfaces: []poddir.Interface{
		{Network: "default", Name: "eth0", Addresses: []string{"172.16.28.2/24", "fd00::2/64"}, Gateways: []string{"172.16.28.1"}}, {Network: "l2", Name: "eth1"}}}}
	one := poddir.Pod{Created: at(1), Stage1: "linux", Apps: []poddir.App{app("job")}}
	return []pod.Info{
		{UUID: id(1), State: pod.StateRunning, Pod: two, Runtime: net, Pid: 4711, Started: at(2), Ready: true, Apps: map[string]poddir.AppStatus{
			"web": {State: poddir.AppRunning, Started: at(2), Pid: 4712}, "side": {State: poddir.AppExited, Started: at(2), Finished: at(3)}}},
		{UUID: id(2), State: pod.StateExited, Pod: one, Runtime: &poddir.Runtime{}, Started: at(2), Exit: &poddir.PodExit{Code: 137, App: "job"}, Apps: map[string]poddir.AppStatus{
			"job": {State: poddir.AppExited, Started: at(2), Finished: at(3), Code: 137, Signal: "SIGKILL", OOM: true, Reason: "out of\nmemory\x1b"}}},
		{UUID: id(3), State: pod.StateExited, Pod: one, Runtime: &poddir.Runtime{}, Started: at(2), Apps: map[string]poddir.AppStatus{"job": {State: poddir.AppRunning, Started: at(2)}}},
		{UUID: id(4), State: pod.StateExited, Pod: one}, // killed on its way to the supervisor
		{UUID: id(5), State: pod.StatePrepared, Pod: one},
		{UUID: id(6), State: pod.StatePreparing},
		{UUID: id(7), State: pod.StateExitedGarbage, Err: errors.New("read pod.json: unexpected end of JSON input")},
	}
}

func TestListTable(t *testing.T) {
	for _, full := range []bool{true, false} {
		var rows [][]string
		for _, i := range infos() {
			if !full { // times relative to now are tested elsewhere
				i.Pod.Created, i.Started = time.Time{}, time.Time{}
			}
			rows = append(rows, podRows(i, full)...)
		}
		var b bytes.Buffer
		if err := table(&b, listHeader(full), rows); err != nil {
			t.Fatal(err)
		}
		golden(t, map[bool]string{true: "list-full.txt", false: "list.txt"}[full], b.String())
	}
}

func TestListJSON(t *testing.T) {
	var out []podJSON
	for _, i := range infos() {
		out = append(out, newPodJSON(i))
	}
	var b bytes.Buffer
	if err := printJSON(&b, out, true); err != nil {
		t.Fatal(err)
	}
	golden(t, "list.json", b.String())
	if strings.Contains(b.String(), "null") {
		t.Error("a null: every list is there, and what is not known is left out")
	}
}

func TestStatusLines(t *testing.T) {
	var b bytes.Buffer
	for _, i := range infos() {
		printStatus(&b, &i)
		b.WriteString("--\n")
	}
	golden(t, "status.txt", b.String())
}

func TestImageList(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	imgs := []*store.Image{
		{ID: "sha256-" + strings.Repeat("ab", 32), Manifest: "sha256:" + strings.Repeat("cd", 32), Names: []string{"docker://docker.io/library/web:1", "docker://web"}, Size: 5 << 20, Imported: at, LastUsed: at},
		{ID: "sha512-" + strings.Repeat("ef", 32), Names: []string{"aci://example.com/app:1"}, Imported: at},
		{ID: "sha256-" + strings.Repeat("01", 32)},
	}
	out, rows := imageRows(imgs, true)
	var b bytes.Buffer
	if err := table(&b, imageHeader(), rows); err != nil {
		t.Fatal(err)
	}
	golden(t, "image-list.txt", b.String())
	b.Reset()
	if err := printJSON(&b, out, true); err != nil {
		t.Fatal(err)
	}
	golden(t, "image-list.json", b.String())
}

// rkt runs a verb as main would, without a data directory.
func rkt(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{stdout: &out, stderr: &errs}
	cobra.EnablePrefixMatching = true
	code = a.main(t.Context(), append([]string{"--dir=" + t.TempDir()}, args...))
	return out.String(), errs.String(), code
}

func TestVerbs(t *testing.T) {
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"", 2, "", "rkt: missing command"},
		{"nonsense", 2, "", `rkt: unknown command "nonsense" (rkt --help lists them)`},
		{"sta x", 66, "", `status: no matches found for "x"`},
		{"st", 2, "", `ambiguous command "st": it can be status, stop`},
		{"image", 2, "", "missing command (rkt image --help lists them)"},
		{"stats", 2, "", `rkt: unknown command "stats": did you mean status? (rkt --help lists them)`},
		{"plugin nonsense", 2, "", `unknown command "nonsense" (rkt plugin --help lists them)`},
		{"list", 0, "UUID  APP  IMAGE NAME  STATE  CREATED  STARTED  NETWORKS\n", ""},
		{"list --no-legend", 0, "", ""},
		{"list --format=json", 0, "[]\n", ""},
		{"list --format=xml", 2, "", "neither json nor json-pretty"},
		{"list x", 2, "", `unexpected argument "x"`},
		{"image list --format=json", 0, "[]\n", ""},
		{"status", 2, "", "exactly one pod UUID"},
		{"status --uuid-file=/does/not/exist", 254, "", "read pod UUID"},
		{"cat-manifest x", 66, "", "no matches found"},
		{"logs x", 66, "", "no matches found"},
		{"image rm x", 66, "", "image rm: "},
		{"image cat-manifest a b", 2, "", "exactly one image"},
		{"run --net host img", 2, "", "--net=host"},
		{"run -- x", 2, "", "must follow an image"},
		{"run --detach --interactive img", 2, "", "--detach leaves no terminal"},
		{"run --dns=host,1.2.3.4 img", 2, "", "--dns=host excludes"},
		{"run --insecure-options=bogus img", 2, "", "bogus"},
		{"run --volume=a,kind=empty --volume=a,kind=empty img", 2, "", `two volumes are called "a"`},
		{"fetch", 2, "", "no image given"},
		{"fetch --signature=s a b", 2, "", "belongs to one image"},
		{"trust --prefix=x --root", 2, "", "exactly one of"},
		{"trust --root", 2, "", "--root needs key files"},
		{"version x", 2, "", "unexpected argument"},
		{"vers", 0, "rkt Version: ", ""},
	} {
		t.Run(c.args, func(t *testing.T) {
			out, errs, code := rkt(t, words(c.args)...)
			if code != c.code || !strings.HasPrefix(out, c.stdout) || c.stdout == "" && out != "" || !strings.Contains(errs, c.stderr) || (errs == "") != (c.stderr == "") {
				t.Errorf("%d, stdout %q, stderr %q\nwant %d, %q, %q", code, out, errs, c.code, c.stdout, c.stderr)
			}
		})
	}
}

// Every verb says in --help what it is for, and none hides a flag without a word.
func TestHelp(t *testing.T) {
	for _, c := range (&app{}).command().Commands() {
		out, errs, code := rkt(t, c.Name(), "--help")
		if code != 0 || errs != "" || !strings.Contains(out, "Usage:") || c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: %d, %q, %q", c.Name(), code, c.Short, errs)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: --%s has no help", c.Name(), f.Name)
			}
		})
	}
}

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{usagef("x"), 2},
		{&verify.RefusedError{}, 76},
		{&execute.UnsupportedError{}, 64},
		{&pod.NotFoundError{}, 66},
		{store.ErrNotFound, 66},
		{context.Canceled, 130},
		{engine.ErrAlreadyStopped, 0},
		{&pod.StateError{}, 69},
		{&engine.AppError{}, 66},
		{context.DeadlineExceeded, 254},
		{errors.New("x"), 254},
		{&shownError{&pod.NotFoundError{}}, 66},
		{&execute.EndedError{Status: 64}, 64},
		{fmt.Errorf("%w %q: nothing", image.ErrInvalid, "x://"), 64},
		{&execute.EndedError{Status: -1}, exitOther},
	} {
		for _, err := range []error{c.err, fmt.Errorf("wrapped: %w", c.err), errors.Join(c.err, nil)} {
			if got := exitCode(err); got != c.want {
				t.Errorf("%T %v: %d, want %d", c.err, err, got, c.want)
			}
		}
	}
}
