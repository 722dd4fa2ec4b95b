package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/spf13/cobra"
)

func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, " ")
}

func TestParseApps(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string // apps as IMAGE{NAME EXEC}[ARGS]
		err  string
	}{
		{"", "", ""},
		{"a", "a", ""},
		{"a b", "a b", ""},
		{"a -- x -y --exec=z", "a[x -y --exec=z]", ""},
		{"a --", "a[]", ""},
		{"a -- x --- b -- y", "a[x] b[y]", ""},
		{"a -- --- b", "a[] b", ""},
		{"a -- x -- y --- b", "a[x -- y] b", ""},
		{"a -- x ---", "a[x]", ""},
		{"a --name=n --exec /e -- x", "a{n /e}[x]", ""},
		{"a -- x --- --name=n b", "a{n }[x] b", ""},
		{"a --readonly-rootfs b", "a b", ""},
		{"a --exec=", "a", ""},
		{"-- x", "", "must follow an image"},
		{"--- x", "", "none is open"},
		{"a ---", "", "none is open"},
		{"a -- x --- -- y", "", `image "a" has two lists of arguments`},
		{"--exec=/x a", "", "--exec is a flag of an app: it must follow an image"},
		{"--nonsense a", "", "unknown flag --nonsense"},
		{"a --net=host", "", "flags of the pod come before the first image"},
		{"a -exec x", "", "-exec is no flag of an app"},
		{"a -", "", "- is no flag of an app"},
		{"a --=", "", "--= is no flag of an app"},
		{"a --exec", "", "--exec needs a value"},
		{"a --exec x --exec y", "", "--exec is given twice"},
		{"a --signature=s --signature=s", "", "--signature is given twice"},
		{"a --exec=x b --exec=y", "a{ x} b{ y}", ""},
		{"a --memory=1", "", "less than 4096 bytes"},
		{"a --memory=512m", "", "the suffix of a mebibyte is Mi"},
		{"a --cpu=x", "", `"x" is no quantity`},
		{"a --mount=volume=v", "", "a mount is volume=NAME,target=PATH"},
		{"a --environment=novalue", "", "is not NAME=VALUE"},
		{"a --readonly-rootfs=maybe", "", "readonly-rootfs"},
		{"a --annotation=x=1 --annotation=x=2", "", `annotation "x" is given twice`},
	} {
		apps, err := parseApps(words(c.in))
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %v, want %q", c.in, err, c.err)
			continue
		}
		if err != nil {
			if !errors.As(err, new(*usageError)) {
				t.Errorf("%q: %v is no usage error", c.in, err)
			}
			continue
		}
		var got []string
		for _, a := range apps {
			s := a.Image
			if a.Name+a.Exec != "" {
				s += "{" + a.Name + " " + a.Exec + "}"
			}
			if a.Args != nil {
				s += "[" + strings.Join(a.Args, " ") + "]"
			}
			got = append(got, s)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%q: %s, want %s", c.in, s, c.want)
		}
	}
	if _, err := parseApps([]string{"a", ""}); err == nil || !strings.Contains(err.Error(), "cannot be empty") {
		t.Error(err)
	}
}

// Each flag reaches its own app, also when the list of apps grows.
func TestParseAppsFlags(t *testing.T) {
	apps, err := parseApps(words("a --user=1 --group=2 --supplementary-gids=3,4 --working-dir=/w --environment=A=1 --environment=B=2 " +
		"--mount=volume=v,target=/t,readOnly=true --memory=1Mi --cpu=1.5 --cpu-shares=2 --oom-score-adj=-1000 --caps-retain=chown,kill " +
		"--stop-signal=SIGINT --signature=s --annotation=k=v --readonly-rootfs b --user=9 c"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(apps)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "apps.json", string(got)+"\n")
}

// Whatever the words: no panic, every image is one of the words, and arguments come back as they were.
func FuzzParseApps(f *testing.F) {
	for _, s := range []string{"a", "a\n--\nx\n---\nb", "a\n--exec\nx", "--exec", "a\n--mount=volume=v,target=/t", "---", "a\n-", "a\n--name=x=y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		in := strings.Split(s, "\n")
		apps, err := parseApps(in)
		if err != nil {
			if !errors.As(err, new(*usageError)) {
				t.Fatalf("%q: %v is no usage error", in, err)
			}
			return
		}
		for _, a := range apps {
			if !slices.Contains(in, a.Image) || strings.HasPrefix(a.Image, "-") || a.Image == "" {
				t.Fatalf("%q: image %q", in, a.Image)
			}
			for _, arg := range a.Args {
				if arg == "---" || !slices.Contains(in, arg) {
					t.Fatalf("%q: argument %q", in, arg)
				}
			}
		}
	})
}

func TestPodFlags(t *testing.T) {
	for _, c := range []struct {
		p    prepareFlags
		in   string
		want string
	}{
		{prepareFlags{pullPolicy: "new"}, "", "no image given"},
		{prepareFlags{pullPolicy: "always"}, "a", "none of never, new, update"},
		{prepareFlags{pullPolicy: "new", envFile: "/does/not/exist"}, "a", "read environment file"},
		{prepareFlags{pullPolicy: "new", spec: engine.PodSpec{Hostname: "a b"}}, "a", "no host name"},
		{prepareFlags{pullPolicy: "new", spec: engine.PodSpec{Hostname: strings.Repeat("a", 65)}}, "a", "at most 64"},
		{prepareFlags{pullPolicy: "new", spec: engine.PodSpec{Interactive: true}}, "a b", "one app only"},
		{prepareFlags{pullPolicy: "new", spec: engine.PodSpec{Env: []string{"A=1", "A=2"}}}, "a", "--set-env: A is given twice"},
	} {
		if _, err := c.p.build(&cobra.Command{}, words(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
