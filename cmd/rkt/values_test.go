package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// parses checks a parser against text -> shown result, or "!part of the error".
func parses[T any](t *testing.T, what string, parse func(string) (T, error), cases map[string]string) {
	t.Helper()
	for in, want := range cases {
		v, err := parse(in)
		got := fmt.Sprintf("%+v", v)
		if err != nil {
			got = "!" + err.Error()
		}
		if bad, refused := strings.CutPrefix(want, "!"); refused && err != nil && strings.Contains(err.Error(), bad) {
			continue
		}
		if got != want {
			t.Errorf("%s %q: %s, want %s", what, in, got, want)
		}
	}
}

func TestValues(t *testing.T) {
	parses(t, "env", parseEnv, map[string]string{
		"A=1": "A=1", "A=": "A=", "_a.b-c=x=y": "_a.b-c=x=y", "A=x y\n": "A=x y\n",
		"A": "!is not NAME=VALUE", "=x": "!is not", "1A=x": "!is not", "A B=x": "!is not", "A=\x00": "!is not", "": "!is not",
	})
	parses(t, "mount", parseMount, map[string]string{
		"volume=v,target=/t":               "{Volume:v Target:/t ReadOnly:false CopyUp:false}",
		"target=/t,volume=v,readOnly=true": "{Volume:v Target:/t ReadOnly:true CopyUp:false}",
		"volume=v,target=t":                "!absolute path below /", "volume=v,target=/": "!below /", "volume=v,target=/a/..": "!below /",
		"target=/t": "!volume=NAME", "volume=v,target=/t,x=y": `!"x=y" is none of volume=..., target=..., readOnly=...`,
		"volume=v,volume=w,target=/t": "!volume is given twice", "volume=v,target=/t,readOnly=ja": "!neither true nor false", "": "!is none of",
	})
	parses(t, "volume", parseVolume, map[string]string{
		"v,kind=host,source=/a/../b":            "{Name:v Kind:host Source:/b ReadOnly:false Recursive:true Mode:0 UID:0 GID:0}",
		"v,kind=host,source=/b,recursive=false": "{Name:v Kind:host Source:/b ReadOnly:false Recursive:false Mode:0 UID:0 GID:0}",
		"v-1,kind=empty":                        "{Name:v-1 Kind:empty Source: ReadOnly:false Recursive:false Mode:493 UID:0 GID:0}",
		"v,kind=empty,mode=1777,uid=1,gid=2":    "{Name:v Kind:empty Source: ReadOnly:false Recursive:false Mode:1023 UID:1 GID:2}",
		"v":                                     "!is none of kind",
		"v,kind=tmpfs":                          "!neither host nor empty",
		"v,kind=host":                           `!source="" is not an absolute path`,
		"v,kind=host,source=b":                  "!is not an absolute path",
		"v,kind=empty,source=/b":                "!has no source",
		"v,kind=empty,mode=8":                   "!no valid number",
		"v,kind=empty,mode=10000":               "!no valid number",
		"v,kind=empty,uid=-1":                   "!no valid number",
		"v,kind=empty,uid=4294967296":           "!no valid number",
		"V,kind=empty":                          "!volume name", "../v,kind=empty": "!volume name", "a--b,kind=empty": "!volume name", ",kind=empty": "!volume name",
	})
	parses(t, "port", parsePort, map[string]string{
		"http:80":               "{Name:http HostIP: HostPort:80}",
		"80-tcp:1.2.3.4:80":     "{Name:80-tcp HostIP:1.2.3.4 HostPort:80}",
		"http:[::1]:80":         "{Name:http HostIP:::1 HostPort:80}",
		"http:[2001:db8::1]:80": "{Name:http HostIP:2001:db8::1 HostPort:80}",
		"http":                  "!is not NAME:[HOSTIP:]HOSTPORT", ":80": "!is not NAME", "http:0": "!is not NAME", "http:65536": "!is not NAME",
		"http:-1": "!is not NAME", "http:localhost:80": `!"localhost" is no IP address`, "http:": "!is not NAME", "http:fe80::1%eth0:80": "!no IP address",
	})
	parses(t, "gids", parseGIDs, map[string]string{"1": "[1]", "1,2": "[1 2]", "": "!no group number", "1,": "!no group number", "-1": "!no group number", "staff": "!no group number"})
	parses(t, "shares", parseShares, map[string]string{"2": "2", "262144": "262144", "1": "!between", "262145": "!between", "x": "!between"})
	parses(t, "hosts", parseHostsEntry, map[string]string{
		"1.2.3.4=a": "1.2.3.4 a", "::1=a,b.c": "::1 a b.c", "1.2.3.4": "!is not IP=NAME", "a=b": "!is not IP=NAME", "1.2.3.4=": "!no host name",
		"1.2.3.4=a,": "!no host name", "1.2.3.4=a b": "!no host name", "1.2.3.4=a\n6.6.6.6": "!no host name", "fe80::1%x\n6.6.6.6 bank=a": "!is not IP=NAME",
	})
	parses(t, "oom", func(s string) (int, error) {
		p, err := parseOOM(s)
		if err != nil {
			return 0, err
		}
		return *p, nil
	}, map[string]string{"-1000": "-1000", "1000": "1000", "-1001": "!between", "1001": "!between", "": "!between"})
	parses(t, "wait", func(s string) (string, error) {
		d, waits, err := parseWait(s)
		return fmt.Sprint(d, " ", waits), err
	}, map[string]string{"": "0s false", "false": "0s false", "true": "0s true", "10s": "10s true", "0s": "!neither", "-1s": "!neither", "10": "!neither", "x": "!neither"})
}

func TestParseNet(t *testing.T) {
	for in, want := range map[string]string{
		"":                   "plugin [{default map[]}]",
		"host":               "host []",
		"none":               "none []",
		"default":            "plugin [{default map[]}]",
		"a b":                "plugin [{a map[]} {b map[]}]",
		"a:IP=1.2.3.4;K=v:w": "plugin [{a map[IP:1.2.3.4 K:v:w]}]",
		"host default":       "!host excludes other networks",
		"default none":       "!none excludes other networks",
		"host:IP=1":          "!takes no arguments",
		"a a":                `!"a" is given twice`,
		"a:b":                `!argument "b" is not K=V`,
		"a:":                 `!argument "" is not K=V`,
		"../a":               "!is no name of a network",
	} {
		mode, reqs, err := parseNet(words(in))
		got := fmt.Sprint(mode, " ", reqs)
		if bad, refused := strings.CutPrefix(want, "!"); refused {
			if err == nil || !strings.Contains(err.Error(), bad) {
				t.Errorf("%q: %s, %v, want %s", in, got, err, want)
			}
		} else if err != nil || got != want {
			t.Errorf("%q: %s, %v, want %s", in, got, err, want)
		}
	}
	for _, c := range []struct{ nets, words, bad string }{{"default", "host img", "--net=host"}, {"default", "img", ""}, {"", "host", ""}, {"default", "", ""}} {
		if err := checkNetWord(words(c.nets), words(c.words)); (err != nil) != (c.bad != "") || err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestParseEnvFile(t *testing.T) {
	for content, want := range map[string]string{
		"":                                "[]",
		"A=1\n\n# c\n; c\n  B=x y  \nC=":  "[A=1 B=x y C=]",
		"A=1\r\nB=2\r\n":                  "[A=1 B=2]",
		"A=1\nA=2\n":                      "!line 2 sets A again",
		"A=1\nnonsense\n":                 "!line 2:",
		"A=" + strings.Repeat("x", 1<<17): "!read environment file",
	} {
		path := filepath.Join(t.TempDir(), "env")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := parseEnvFile(path)
		got := fmt.Sprint(list)
		if bad, refused := strings.CutPrefix(want, "!"); refused {
			if err == nil || !strings.Contains(err.Error(), bad) {
				t.Errorf("%.40q: %.40s, %v, want %s", content, got, err, want)
			}
		} else if err != nil || got != want {
			t.Errorf("%.40q: %.40s, %v, want %s", content, got, err, want)
		}
	}
}

func TestPodArg(t *testing.T) {
	dir := t.TempDir()
	file, empty := filepath.Join(dir, "uuid"), filepath.Join(dir, "empty")
	if err := os.WriteFile(file, []byte("abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args       []string
		file, want string
		err        string
	}{
		{[]string{"x"}, "", "x", ""},
		{nil, file, "abc", ""},
		{nil, "", "", "exactly one pod UUID"},
		{[]string{"a", "b"}, "", "", "exactly one pod UUID"},
		{[]string{"a"}, file, "", "exclude each other"},
		{nil, empty, "", "is empty"},
		{nil, filepath.Join(dir, "none"), "", "read pod UUID"},
	} {
		got, err := podArg(c.args, c.file)
		if (err == nil) != (c.err == "") || err == nil && got != c.want || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
}

func TestOutputWords(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 30: "1.0 GiB", 1<<63 - 1: "8192.0 PiB"} {
		if got := bytesize(n); got != want {
			t.Errorf("bytesize(%d) = %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "now", -time.Hour: "now", 61 * time.Second: "1 minute ago", 49 * time.Hour: "2 days ago"} {
		if got := ago(time.Now().Add(-d), false); got != want {
			t.Errorf("ago(%s) = %s, want %s", d, got, want)
		}
	}
	if got := ago(time.Time{}, true); got != "" {
		t.Error(got)
	}
	for in, want := range map[string]string{
		"plain ä 世界\n\t": "plain ä 世界\n\t", "\x1b[2J": `\x1b[2J`, "a\rb\x00": `a\rb\x00`, "\u202eexe": `\u202eexe`, "\xff": `\ufffd`, "\u0085": `\u0085`,
	} {
		if got := quoteControl(in); got != want {
			t.Errorf("quoteControl(%q) = %q, want %q", in, got, want)
		}
	}
}

// No parser panics, and what one accepts cannot break out of the line or list that it is written to.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"v,kind=host,source=/a", "v,kind=empty,mode=0755", "volume=v,target=/t", "http:1.2.3.4:80", "1.2.3.4=a,b", "a:K=V;L=W", "A=1", "1,2", "[::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := parseVolume(s); err == nil && (!volumeName.MatchString(v.Name) || v.Kind == "host" && !filepath.IsAbs(v.Source)) {
			t.Fatalf("%q: %+v", s, v)
		}
		if m, err := parseMount(s); err == nil && (!filepath.IsAbs(m.Target) || m.Volume == "") {
			t.Fatalf("%q: %+v", s, m)
		}
		if p, err := parsePort(s); err == nil && (p.HostPort == 0 || p.Name == "") {
			t.Fatalf("%q: %+v", s, p)
		}
		if l, err := parseHostsEntry(s); err == nil && strings.ContainsAny(l, "\n\r#") {
			t.Fatalf("%q: %q", s, l)
		}
		if _, reqs, err := parseNet([]string{s}); err == nil && len(reqs) > 1 {
			t.Fatalf("%q: %+v", s, reqs)
		}
		parseEnv(s)
		parseGIDs(s)
		parseShares(s)
		parseOOM(s)
		parseWait(s)
		quoteControl(s)
	})
}
