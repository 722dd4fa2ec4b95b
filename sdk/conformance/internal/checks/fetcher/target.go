package fetcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/launch"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/layout"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/source"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// target is something to fetch.
type target struct {
	ref    string
	access *fetcherv1.Access
	server *source.Server // nil when the vendor named the reference
}

// targets are an image of the kit's registry, when the plugin has scheme docker, and the vendor's references.
func targets(e *suite.Env) ([]target, error) {
	var out []target
	if speaksDocker(e) {
		s, err := serve(e, false, 300<<10, 1<<20)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	if out = append(out, given(e)...); len(out) == 0 {
		return nil, noTarget()
	}
	return out, nil
}

// serve starts the kit's registry with layers of the sizes.
func serve(e *suite.Env, https bool, sizes ...int64) (target, error) {
	img, err := source.NewImage(e.Rand, sizes...)
	if err != nil {
		return target{}, err
	}
	return serveImage(e, img, https)
}

func serveImage(e *suite.Env, img *source.Image, https bool) (target, error) {
	s, err := source.Serve(img, https)
	if err != nil {
		return target{}, err
	}
	e.Defer(s.Close)
	return target{ref: s.Reference(":latest"), server: s, access: &fetcherv1.Access{AllowHttp: !https, InsecureTls: https}}, nil
}

// docker is serve for the checks that need a source which does what the check says.
func docker(e *suite.Env, https bool, sizes ...int64) (target, error) {
	if !speaksDocker(e) {
		return target{}, suite.Skip("the plugin has no scheme docker, and the kit plays no other source")
	}
	return serve(e, https, sizes...)
}

// each calls f with every target.
func each(e *suite.Env, f func(t target) error) error {
	ts, err := targets(e)
	if err != nil {
		return err
	}
	for _, t := range ts {
		if err := f(t); err != nil {
			return fmt.Errorf("%s: %w", t.name(), err)
		}
	}
	return nil
}

func (t target) name() string {
	if t.server != nil {
		return "the kit's registry"
	}
	return t.ref
}

// donate opens what a reference names, exactly as core does (launch.SourcePath): the plugin may not be able to.
func (t target) donate(e *suite.Env) []process.FD {
	path, _ := launch.SourcePath(t.ref)
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	e.Defer(f.Close)
	return []process.FD{{Name: launch.FDSource, File: f}}
}

// start starts the plugin for a target.
func (t target) start(ctx context.Context, e *suite.Env, o process.Options) (*process.Process, error) {
	o.FDs = t.donate(e)
	return e.Ready(ctx, o)
}

func machine() *fetcherv1.Platform {
	return &fetcherv1.Platform{Os: "linux", Architecture: runtime.GOARCH}
}

// fetched is all that a fetch said.
type fetched struct {
	done     *fetcherv1.FetchDone
	progress []*fetcherv1.Progress
	after    int // events after done
}

func (f *fetched) image() layout.Descriptor { return descriptor(f.done.GetImage()) }

func descriptor(d *fetcherv1.Descriptor) layout.Descriptor {
	return layout.Descriptor{MediaType: d.GetMediaType(), Digest: d.GetDigest(), Size: d.GetSize()}
}

// fetch makes one call on a running plugin.
func (t target) fetch(ctx context.Context, p *process.Process, dir string, present ...string) (*fetched, error) {
	return receive(ctx, p, &fetcherv1.FetchRequest{
		Reference: t.ref, Platform: machine(), Access: t.access, LayoutDir: dir, PresentDigests: present,
	})
}

func receive(ctx context.Context, p *process.Process, req *fetcherv1.FetchRequest) (*fetched, error) {
	stream, err := fetcherv1.NewFetcherServiceClient(p.Conn).Fetch(ctx, req)
	if err != nil {
		return nil, err
	}
	out := &fetched{}
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if out.done != nil {
			out.after++
		}
		switch ev := event.GetEvent().(type) {
		case *fetcherv1.FetchEvent_Progress:
			out.progress = append(out.progress, ev.Progress)
		case *fetcherv1.FetchEvent_Done:
			out.done = ev.Done
		}
	}
}

// once fetches with a fresh plugin, into dir.
func (t target) once(ctx context.Context, e *suite.Env, dir string, present ...string) (*fetched, error) {
	p, err := t.start(ctx, e, process.Options{})
	if err != nil {
		return nil, err
	}
	got, err := t.fetch(ctx, p, dir, present...)
	if err != nil {
		return got, err
	}
	if got.done == nil {
		return got, errors.New("the stream ended without done")
	}
	return got, p.Close()
}
