package plugin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/reason"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
)

func options(dir string, k Kind) Options {
	return Options{Kind: k, RunDir: filepath.Join(dir, "sockets")}
}

func start(t testing.TB, e *Entry, o Options) *Process {
	t.Helper()
	p, err := Launch(t.Context(), e, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestLaunchAndClose(t *testing.T) {
	for _, k := range []Kind{KindFetcher, KindConverter, KindVerifier, KindNetwork, KindStage1} {
		t.Run(k.String(), func(t *testing.T) {
			dir := place(t)
			o := options(dir, k)
			o.CloseTimeout = 10 * time.Second // with -race a process takes a second to exit
			p := start(t, install(t, dir, "good"), o)
			f := ask(t, p, "")
			if f.PID != p.run.child.pid && !(f.PID == 1 && p.namespaced()) {
				t.Errorf("pid %d, want %d", f.PID, p.run.child.pid)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			nothingLeft(t, dir)
			if p.run.child.state.ExitCode() != 0 {
				t.Errorf("ended with %v, want an orderly end", p.run.child.state)
			}
		})
	}
}

func ask(t testing.TB, p *Process, ref string) facts {
	t.Helper()
	resp, err := p.Fetcher().Resolve(t.Context(), &fetcherv1.ResolveRequest{Reference: ref})
	if err != nil {
		t.Fatal(p.Error("resolve", err))
	}
	var f facts
	if err := json.Unmarshal([]byte(resp.GetCanonical()), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestConfinement(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	t.Setenv("LD_PRELOAD", "/evil.so")
	t.Setenv("RKT_SECRET", "x")
	t.Setenv("GODEBUG", "x=1")
	t.Setenv("HTTPS_PROXY", "http://proxy")
	for _, c := range []struct {
		kind    Kind
		uid     int
		caps    string
		nnp     string
		network bool
		proxy   bool
		limited bool
	}{
		{KindFetcher, -1, "0000000000000000", "1", true, true, true},
		{KindConverter, -1, "0000000000000000", "1", false, false, true},
		{KindVerifier, -1, "0000000000000000", "1", false, false, true},
		{KindNetwork, 0, "0000000000201000", "1", true, false, false},
		{KindStage1, 0, "", "0", true, false, false},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			dir := place(t)
			uid, gid, err := Owner(c.kind, 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			if (c.uid == 0) != (uid == 0) {
				t.Errorf("Owner is %d", uid)
			}
			layout, other := filepath.Join(dir, "layout"), filepath.Join(dir, "other")
			for _, d := range []string{layout, other} {
				if err := os.Mkdir(d, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.Chown(d, uid, gid); err != nil {
					t.Fatal(err)
				}
			}
			lock, err := os.Open(layout)
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
			o := options(dir, c.kind)
			o.Writable = []string{layout}
			o.FDs = []FD{{launch.FDLock, lock}}
			p := start(t, install(t, dir, "good"), o)
			f := ask(t, p, layout+":"+other)
			if f.UID != uid || f.GID != gid || uid != 0 && len(f.Groups) != 0 {
				t.Errorf("uid %d gid %d groups %v, want %d %d and none", f.UID, f.GID, f.Groups, uid, gid)
			}
			for _, set := range []string{"CapInh", "CapAmb"} {
				if f.Status[set] != "0000000000000000" {
					t.Errorf("%s %s", set, f.Status[set])
				}
			}
			for _, set := range []string{"CapPrm", "CapEff", "CapBnd"} {
				if c.caps != "" && f.Status[set] != c.caps {
					t.Errorf("%s %s, want %s", set, f.Status[set], c.caps)
				}
			}
			if f.Status["NoNewPrivs"] != c.nnp {
				t.Errorf("NoNewPrivs %s", f.Status["NoNewPrivs"])
			}
			if !f.Sid {
				t.Error("not in a session of its own")
			}
			if !c.network && f.Links > 1 {
				t.Errorf("sees %d network devices", f.Links)
			}
			for _, v := range f.Env {
				name, _, _ := strings.Cut(v, "=")
				allowed := []string{"PATH", "LANG", "TZ", launch.CookieKey, launch.EnvFDs, launch.EnvProtocols, launch.EnvSocketDir}
				if c.proxy {
					allowed = append(allowed, "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "no_proxy", "all_proxy")
				}
				if !slices.Contains(allowed, name) {
					t.Errorf("gets %s", v)
				}
			}
			if c.limited && (f.NoFile != 1024 || f.Data != 2<<30) {
				t.Errorf("limits: %d files, %d bytes of data", f.NoFile, f.Data)
			}
			wantLayout := "ok"
			if c.kind == KindVerifier {
				wantLayout = "permission denied"
			}
			if !strings.Contains(f.WriteLayout, wantLayout) {
				t.Errorf("write to layout: %s", f.WriteLayout)
			}
			if c.limited && f.WriteElsewhere == "ok" {
				b, _ := os.ReadFile("/sys/kernel/security/lsm")
				if strings.Contains(string(b), "landlock") {
					t.Error("can write elsewhere")
				} else {
					t.Log("no Landlock here")
				}
			}
			if !slices.ContainsFunc(f.FDs, func(s string) bool { return s == "3 "+layout }) {
				t.Errorf("donated descriptor is missing: %q", f.FDs)
			}
			for _, s := range f.FDs {
				if strings.Contains(s, "fake-good") {
					t.Errorf("inherits its binary: %s", s)
				}
			}
		})
	}
	// The privileges that a spawning thread gave up are not missing here.
	b, _ := os.ReadFile("/proc/self/status")
	if !bytes.Contains(b, []byte("NoNewPrivs:\t0")) {
		t.Error("this process has no_new_privs")
	}
}

func TestHostileStart(t *testing.T) {
	for _, c := range []struct {
		behaviour string
		reason    reason.Reason
		says      string
	}{
		{"garbage", reason.PluginProtocol, `printed something else than the handshake line on stdout: "hello, I am a plugin`},
		{"endless", reason.PluginProtocol, `something else than the handshake line`},
		{"crash-start", reason.PluginCrashed, `exit status 3`},
		{"panics", reason.PluginCrashed, "panic: out of coffee"},
		{"silent", reason.PluginTimeout, "no handshake line within 300ms"},
		{"closes-stdout", reason.PluginProtocol, "closed its stdout"},
		{"newer", reason.PluginProtocol, "the plugin speaks 2, it was offered 1 (update rkt"},
		{"elsewhere", reason.PluginProtocol, "not in the directory given to it"},
		{"tcp", reason.PluginProtocol, "other than gRPC on a unix socket"},
		{"proxied", reason.PluginRefused, "stranger on the socket"},
		{"lies-name", reason.PluginRefused, `name is "fake" there, the plugin says "somebody-else"`},
		{"lies-version", reason.PluginRefused, `version is "1.2.3" there, the plugin says "9.9.9"`},
		{"lies-provides", reason.PluginRefused, `rkt.fetcher is `},
		{"hang-describe", reason.PluginTimeout, "describe: did not answer"},
		{"closes-socket", reason.PluginProtocol, "broke the connection"},
		{"mute", reason.PluginTimeout, "describe: did not answer"},
		{"picky", reason.ConfigInvalid, "mirrors[0]: no such host"},
	} {
		for _, k := range []Kind{KindFetcher, KindStage1} {
			t.Run(c.behaviour+"/"+k.String(), func(t *testing.T) {
				dir := place(t)
				o := options(dir, k)
				o.Config = []byte("{}")
				o.HandshakeTimeout, o.DescribeTimeout, o.CloseTimeout = 5*time.Second, 5*time.Second, 300*time.Millisecond
				switch c.behaviour {
				case "silent":
					o.HandshakeTimeout = 300 * time.Millisecond
				case "hang-describe", "mute":
					o.DescribeTimeout = 300 * time.Millisecond
				}
				_, err := Launch(t.Context(), install(t, dir, c.behaviour), o)
				var e *Error
				if !errors.As(err, &e) || e.Reason != c.reason || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v\nwant %s %q", err, c.reason, c.says)
				}
				if err != nil && strings.ContainsAny(err.Error(), "\x1b\r") {
					t.Errorf("control characters in %q", err)
				}
				t.Log(err)
				nothingLeft(t, dir)
			})
		}
	}
}

func TestHostileCall(t *testing.T) {
	for _, c := range []struct {
		behaviour string
		reason    reason.Reason // empty: the call succeeds
		says      string
	}{
		{"hang", reason.PluginTimeout, "did not answer"},
		{"deaf", "", ""},
		{"crash-rpc", reason.PluginCrashed, "about to fall over"},
		{"big", reason.PluginProtocol, "more than 4 MiB"},
		{"gigabyte", reason.PluginProtocol, "more than 4 MiB"},
		{"flood", "", ""},
		{"newlines", "", ""},
		{"forks", "", ""},
		{"daemon", "", ""},
		{"chatty", "", ""},
		{"huge-error", reason.PluginProtocol, "broke the connection"},
	} {
		for _, k := range []Kind{KindFetcher, KindNetwork, KindStage1} {
			t.Run(c.behaviour+"/"+k.String(), func(t *testing.T) {
				if c.behaviour == "big" && k != KindStage1 {
					t.Skip("a plugin with limits cannot even make the answer")
				}
				dir := place(t)
				o := options(dir, k)
				o.CloseTimeout = 300 * time.Millisecond
				p := start(t, install(t, dir, c.behaviour), o)
				d := 20 * time.Second
				if c.behaviour == "hang" {
					d = 200 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				_, err := p.Fetcher().Resolve(ctx, &fetcherv1.ResolveRequest{})
				err = p.Error("resolve fake://x", err)
				if c.reason == "" {
					if err != nil {
						t.Error(err)
					}
				} else {
					var e *Error
					if !errors.As(err, &e) || e.Reason != c.reason || !strings.Contains(err.Error(), c.says) {
						t.Errorf("got %v\nwant %s %q", err, c.reason, c.says)
					}
					if len(err.Error()) > 8<<10 {
						t.Errorf("message of %d bytes", len(err.Error()))
					}
					t.Log(err)
				}
				if err := p.Close(); err != nil {
					t.Error(err)
				}
				nothingLeft(t, dir)
			})
		}
	}
}

func TestReasons(t *testing.T) {
	dir := place(t)
	p := start(t, install(t, dir, "reason"), options(dir, KindFetcher))
	for _, c := range []struct {
		said, want reason.Reason
		is         error
		exit       int
	}{
		{reason.ImageNotFound, reason.ImageNotFound, ErrImageNotFound, 66},
		{reason.AuthDenied, reason.AuthDenied, ErrAuthDenied, 77},
		{"FROM_THE_FUTURE", reason.Internal, ErrInternal, 70},
		{reason.PluginRefused, reason.Internal, ErrInternal, 70}, // not for a plugin to say
	} {
		_, err := p.Fetcher().Resolve(t.Context(), &fetcherv1.ResolveRequest{Reference: string(c.said)})
		err = p.Error("fetch fake://x", err)
		var e *Error
		if !errors.As(err, &e) || e.Reason != c.want || !errors.Is(err, c.is) || e.ExitCode() != c.exit || e.RetryAfter() != 3*time.Second {
			t.Errorf("%s: %#v", c.said, err)
		}
		want := `fetch fake://x: fake 1.2.3: manifest \x1b[1munknown [` + string(c.want) + `]`
		if err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
	}
	if p.Error("x", nil) != nil {
		t.Error("nil became an error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Fetcher().Resolve(ctx, &fetcherv1.ResolveRequest{})
	if err := p.Error("x", err); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestCancelDuringStart(t *testing.T) {
	dir := place(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := Launch(ctx, install(t, dir, "silent"), options(dir, KindNetwork))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	nothingLeft(t, dir)
}

// When rkt is killed, its plugins end: an honest one by the lifeline, and one that handles strangers' bytes even
// if it does not listen.
func TestCoreKilled(t *testing.T) {
	for _, c := range []struct{ behaviour, kind string }{{"good", "stage1"}, {"good", "fetcher"}, {"deaf", "fetcher"}} {
		t.Run(c.behaviour+"/"+c.kind, func(t *testing.T) {
			if c.behaviour == "deaf" && os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			dir := place(t)
			e := install(t, dir, c.behaviour)
			core := exec.Command("/proc/self/exe", "be-core", dir, c.kind)
			out, err := core.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := core.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if _, perr := strconv.Atoi(strings.TrimSpace(line)); err != nil || perr != nil {
				t.Errorf("%q, %v", line, err)
			}
			core.Process.Kill()
			core.Wait()
			// The socket directory is the next launch's to remove.
			p := start(t, e, options(dir, KindStage1))
			left, _ := os.ReadDir(filepath.Join(dir, "sockets"))
			if len(left) != 1 {
				t.Errorf("%d socket directories", len(left))
			}
			p.grace = 100 * time.Millisecond
			p.Close()
			nothingLeft(t, dir)
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	dir := place(t)
	e := install(t, dir, "daemon")
	t.Run("group", func(t *testing.T) {
		for i := range 12 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				k := []Kind{KindFetcher, KindNetwork, KindStage1}[i%3]
				p := start(t, e, options(dir, k))
				ask(t, p, "")
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	})
	nothingLeft(t, dir)
}

// A directory whose rkt was killed is removed by the next launch.
func TestSweep(t *testing.T) {
	dir := place(t)
	stale := filepath.Join(dir, "sockets", "plugin-dir1", "sub")
	if err := os.MkdirAll(stale, 0o711); err != nil {
		t.Fatal(err)
	}
	p := start(t, install(t, dir, "good"), options(dir, KindStage1))
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Error("stale directory is still there")
	}
	q := start(t, p.Entry(), options(dir, KindStage1)) // must not remove the first one's
	ask(t, p, "")
	ask(t, q, "")
	p.Close()
	q.Close()
	nothingLeft(t, dir)
}

func TestLog(t *testing.T) {
	var buf bytes.Buffer
	d := newDrain(slog.New(slog.NewJSONHandler(&buf, &slog.HandlerOptions{Level: slog.LevelInfo})))
	long := strings.Repeat("l", 3*maxLine)
	d.run(strings.NewReader(`{"@level":"warn","@message":"careful","n":1,"@timestamp":"t"}
{"@level":"debug","@message":"hidden"}
{"@level":"info","@message":"esc \u001b[0m"}
{"no":"message"}
plain
` + long + `
panic: oh
goroutine 1`))
	got := buf.String()
	for _, want := range []string{`"msg":"careful","n":1`, `"msg":"esc \\x1b[0m"`} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %s in %s", want, got)
		}
	}
	if strings.Contains(got, "hidden") || strings.Contains(got, "plain") || strings.Contains(got, "panic") {
		t.Errorf("too much in %s", got)
	}
	if last := d.last(); last[0] != "careful" || last[len(last)-1] != "goroutine 1" {
		t.Errorf("last: %q", last)
	}
	if d.bytes > keepBytes {
		t.Errorf("keeps %d bytes", d.bytes)
	}
}

// BenchmarkLaunch is the time to the first answer, Describe's; the budget is 8 ms at the median.
func BenchmarkLaunch(b *testing.B) {
	for _, k := range []Kind{KindFetcher, KindVerifier, KindNetwork, KindStage1} {
		b.Run(k.String(), func(b *testing.B) {
			dir := place(b)
			e := install(b, dir, "good")
			if real := os.Getenv("RKT_BENCH_PLUGIN"); real != "" { // a built one: small and stripped
				var err error
				if e, err = OpenDir(real); err != nil {
					b.Fatal(err)
				}
				if !e.Provides(k.Service()) {
					b.Skip("provides no " + k.Service())
				}
			}
			var starts, stops []time.Duration
			for b.Loop() {
				t0 := time.Now()
				p, err := Launch(b.Context(), e, options(dir, k))
				if err != nil {
					b.Fatal(err)
				}
				t1 := time.Now()
				p.Close()
				starts, stops = append(starts, t1.Sub(t0)), append(stops, time.Since(t1))
			}
			slices.Sort(starts)
			slices.Sort(stops)
			b.ReportMetric(float64(starts[0].Microseconds())/1000, "min-start-ms")
			b.ReportMetric(float64(starts[len(starts)/2].Microseconds())/1000, "p50-start-ms")
			b.ReportMetric(float64(stops[len(stops)/2].Microseconds())/1000, "p50-stop-ms")
		})
	}
}
