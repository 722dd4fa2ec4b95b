package plugin

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/reason"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
)

// Of all that the caller's environment can hold, these names reach a plugin, and no other.
func TestEnvironmentIsAllowed(t *testing.T) {
	proxies := []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "no_proxy", "all_proxy"}
	for _, name := range append([]string{
		"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GCONV_PATH", "PYTHONPATH", "BASH_ENV", "ENV", "IFS",
		"GODEBUG", "GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GOTRACEBACK", "GORACE", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"HOME", "USER", "TMPDIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "LANGUAGE", "LC_ALL",
		"RKT_DIR", "RKT_LOCAL_CONFIG", "RKT_SYSTEM_CONFIG", "RKT_PLUGIN_PATH", "RKT_STAGE1", "RKT_SECRET", "RKT_FDS",
		"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK",
		"PLUGIN_UNIX_SOCKET_DIR", "PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_MIN_PORT", "PLUGIN_CLIENT_CERT", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE",
		"GRPC_GO_LOG_SEVERITY_LEVEL", "GRPC_XDS_BOOTSTRAP",
	}, proxies...) {
		t.Setenv(name, "/smuggled")
	}
	t.Setenv("PATH", "/smuggled:"+os.Getenv("PATH"))
	t.Setenv("TZ", "Europe/Berlin")
	for _, k := range []Kind{KindFetcher, KindConverter, KindVerifier, KindNetwork, KindStage1} {
		t.Run(k.String(), func(t *testing.T) {
			dir := place(t)
			f := ask(t, start(t, install(t, dir, "good"), options(dir, k)), "")
			names := []string{"LANG", "PATH", "PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_UNIX_SOCKET_DIR", "TZ", launch.CookieKey}
			if k == KindFetcher {
				names = append(names, proxies...)
			}
			var got []string
			for _, v := range f.Env {
				name, value, _ := strings.Cut(v, "=")
				got = append(got, name)
				if strings.Contains(value, "smuggled") && !slices.Contains(proxies, name) {
					t.Errorf("gets %s", v)
				}
			}
			slices.Sort(got)
			slices.Sort(names)
			if !slices.Equal(got, names) {
				t.Errorf("gets  %q\nwants %q", got, names)
			}
		})
	}
}

// An answer of 1 GB is refused by its first bytes: it is never in core's memory.
func TestGigabyte(t *testing.T) {
	for _, k := range []Kind{KindFetcher, KindStage1} {
		dir := place(t)
		p := start(t, install(t, dir, "gigabyte"), options(dir, k))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := p.Fetcher().Resolve(t.Context(), &fetcherv1.ResolveRequest{})
		runtime.ReadMemStats(&after)
		if err := p.Error("resolve", err); !errors.Is(err, ErrProtocol) {
			t.Errorf("%v: %v", k, err)
		}
		if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 64 {
			t.Errorf("%v: %d MB went through core's memory", k, mb)
		}
		p.Close()
		nothingLeft(t, dir)
	}
}

// A daemon that was made as daemons are, twice forked and with nothing of its parent's, is killed with a fetcher or a
// verifier, which is init of a pid namespace. With a network plugin or a stage1 it gets away (descendants.go says
// why); what holds there is that it gets nothing to hold: no socket, no lock.
func TestDaemonOfAFetcher(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, k := range []Kind{KindFetcher, KindConverter, KindVerifier} {
		t.Run(k.String(), func(t *testing.T) {
			dir := place(t)
			p := start(t, install(t, dir, "doubly"), options(dir, k))
			ask(t, p, "")
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			nothingLeft(t, dir)
		})
	}
}

// However a plugin floods its log, core keeps the last 64 KiB of it.
func TestLogIsBounded(t *testing.T) {
	for _, behaviour := range []string{"flood", "newlines"} {
		dir := place(t)
		p := start(t, install(t, dir, behaviour), options(dir, KindStage1))
		ask(t, p, "")
		p.Close()
		lines, bytes := p.log.kept(), 0
		for _, l := range lines {
			bytes += len(l) + 1
		}
		if bytes > keepBytes || len(lines) == 0 {
			t.Errorf("%s: %d lines, %d bytes", behaviour, len(lines), bytes)
		}
	}
}

// TestFailed: a failure of the plugin's own is handed over with what it wrote; an honest answer is none.
func TestFailed(t *testing.T) {
	for _, c := range []struct {
		behaviour string
		reason    reason.Reason // empty: nothing is handed over
		log       string
	}{
		{"crash-start", reason.PluginCrashed, `"@message":"no configuration"`},
		{"lies-name", reason.PluginRefused, ""},
		{"crash-rpc", reason.PluginCrashed, "about to fall over"},
		{"reason", "", ""},
		{"hang", "", ""}, // the caller's own cancellation
	} {
		t.Run(c.behaviour, func(t *testing.T) {
			dir := place(t)
			var got []*Error
			var log []string
			o := options(dir, KindStage1)
			o.CloseTimeout = 300 * time.Millisecond
			o.Failed = func(e *Error, l []string) string {
				got, log = append(got, e), l
				return filepath.Join(dir, "kept")
			}
			p, err := Launch(t.Context(), install(t, dir, c.behaviour), o)
			if err == nil {
				ctx, cancel := context.WithCancel(t.Context())
				if c.behaviour == "hang" {
					time.AfterFunc(50*time.Millisecond, cancel)
				}
				_, err = p.Fetcher().Resolve(ctx, &fetcherv1.ResolveRequest{Reference: string(reason.ImageNotFound)})
				err = p.Error("resolve", err)
				cancel()
				p.Close()
			}
			if err == nil {
				t.Fatal("it did not fail")
			}
			if c.reason == "" {
				if len(got) > 0 || strings.Contains(err.Error(), "rkt plugin logs") {
					t.Errorf("handed over %v; %v", got, err)
				}
				return
			}
			if len(got) != 1 || got[0].Reason != c.reason || !strings.Contains(strings.Join(log, "\n"), c.log) {
				t.Errorf("handed over %v with %q", got, log)
			}
			if c.log != "" && !strings.Contains(err.Error(), "rkt plugin logs fake shows what it wrote: "+filepath.Join(dir, "kept")) {
				t.Errorf("does not say where: %v", err)
			}
		})
	}
}
