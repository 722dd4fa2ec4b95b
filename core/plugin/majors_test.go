package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
)

// renamed is an adapter to a major whose messages are v1's and whose packages are called vN.
type renamed struct {
	grpc.ClientConnInterface
	major int
}

func (r renamed) method(name string) string {
	return strings.Replace(name, ".v1.", fmt.Sprintf(".v%d.", r.major), 1)
}

func (r renamed) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return r.ClientConnInterface.Invoke(ctx, r.method(method), args, reply, opts...)
}

func (r renamed) NewStream(ctx context.Context, d *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return r.ClientConnInterface.NewStream(ctx, d, r.method(method), opts...)
}

// coreOf is what a later core will have in its table.
func coreOf(majors ...int) map[int]adapter {
	out := map[int]adapter{}
	for _, n := range majors {
		out[n] = func(c grpc.ClientConnInterface) grpc.ClientConnInterface { return renamed{c, n} }
	}
	return out
}

// TestMajors: core and plugin meet in the greatest major that both have, or part before anything runs.
func TestMajors(t *testing.T) {
	for _, c := range []struct {
		plugin string
		core   map[int]adapter // nil: this one's
		want   string          // what the plugin was asked in
		says   string          // or the refusal
	}{
		{"1", nil, "asked in 1, offered 1", ""},
		{"1-2", nil, "asked in 1, offered 1", ""},
		{"2", nil, "", "it speaks protocol [2] of rkt.fetcher, this rkt speaks 1 (update rkt"},
		{"0", nil, "", "it speaks protocol [0] of rkt.fetcher, this rkt speaks 1 (update the plugin)"},
		{"1", coreOf(1, 2), "asked in 1, offered 1", ""},
		{"2", coreOf(1, 2), "asked in 2, offered 2", ""},
		{"1-2", coreOf(1, 2), "asked in 2, offered 1,2", ""},
		{"1-2-3", coreOf(1, 2), "asked in 2, offered 1,2", ""},
		{"1-2-3", coreOf(2, 3), "asked in 3, offered 2,3", ""},
		{"1-3", coreOf(2, 4), "", "it speaks protocol [1 3] of rkt.fetcher, this rkt speaks 2,4 (update the plugin)"},
		{"0", coreOf(1, 2), "", "this rkt speaks 1,2 (update the plugin)"},
		{"3", coreOf(1, 2), "", "this rkt speaks 1,2 (update rkt"},
	} {
		t.Run(fmt.Sprintf("plugin %s, core %s", c.plugin, numbers(sortedKeys(c.core))), func(t *testing.T) {
			dir := place(t)
			e := install(t, dir, "majors-"+c.plugin)
			provide(e, fakeMajors(c.plugin))
			o := options(dir, KindFetcher)
			o.adapters = c.core
			p, err := Launch(t.Context(), e, o)
			if c.says != "" {
				if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want %q", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			resp, err := p.Fetcher().Resolve(t.Context(), &fetcherv1.ResolveRequest{})
			if err != nil || resp.GetCanonical() != c.want {
				t.Errorf("%q, %v, want %q", resp.GetCanonical(), err, c.want)
			}
		})
	}
}

// A plugin that chooses what it was not offered is refused, be it one that core speaks: its plugin.json says otherwise.
func TestMajorNotOffered(t *testing.T) {
	dir := place(t)
	e := install(t, dir, "newer")
	o := options(dir, KindFetcher)
	o.adapters = coreOf(1, 2)
	_, err := Launch(t.Context(), e, o)
	if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), "the plugin speaks 2, it was offered 1") {
		t.Error(err)
	}
}

func TestMajor(t *testing.T) {
	e := &Entry{Name: "fake", Manifest: &manifest.Manifest{Name: "fake", Provides: []manifest.Provision{
		{Service: manifest.ServiceStage1, Protocols: []uint32{1, 2}}, {Service: manifest.ServiceNetwork, Protocols: []uint32{9}},
	}}}
	if n, err := Major(e, KindStage1); n != launch.Protocol || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := Major(e, KindNetwork); !errors.Is(err, ErrProtocol) {
		t.Errorf("9: %v", err)
	}
	if _, err := Major(e, KindFetcher); !errors.Is(err, ErrRefused) {
		t.Errorf("none: %v", err)
	}
	if all := Majors(); len(all) == 0 || all[len(all)-1] != launch.Protocol {
		t.Errorf("this rkt speaks %v, of which %d should be the newest", all, launch.Protocol)
	}
}

func provide(e *Entry, majors []uint32) {
	for i := range e.Manifest.Provides {
		if e.Manifest.Provides[i].Service != "rkt.future" {
			e.Manifest.Provides[i].Protocols = majors
		}
	}
}
