package fetcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// Of a reference that the vendor gives the kit sees one side alone: what the plugin does, not what it asks its source for,
// nor when. The checks here ask less than those with the kit's registry, and nothing that depends on the image.

// speaksDocker says whether the kit has a registry for the plugin.
func speaksDocker(e *suite.Env) bool { return slices.Contains(e.Provision().Schemes, "docker") }

// given are the vendor's references.
func given(e *suite.Env) []target {
	var out []target
	for _, ref := range e.Plugin.References {
		out = append(out, target{ref: ref, access: &fetcherv1.Access{AllowHttp: e.Plugin.AllowHTTP}})
	}
	return out
}

func noTarget() error {
	return suite.Skip("no reference was given (--reference), and the plugin has no scheme docker, for which the kit has a registry")
}

// both asks registry where the kit has one for the plugin, and of with each of the vendor's references.
func both(ctx context.Context, e *suite.Env, registry func(context.Context, *suite.Env) error, of func(context.Context, *suite.Env, target) error) error {
	refs := given(e)
	if !speaksDocker(e) && len(refs) == 0 {
		return noTarget()
	}
	if speaksDocker(e) {
		if err := registry(ctx, e); err != nil {
			return err
		}
	}
	for _, t := range refs {
		if err := of(ctx, e, t); err != nil {
			return fmt.Errorf("%s: %w", t.name(), err)
		}
	}
	return nil
}

// resumedOf plants what an interrupted fetch leaves, the first half of each blob, and fetches over it.
func resumedOf(ctx context.Context, e *suite.Env, t target) error {
	from, want, blobs, err := reference(ctx, e, t)
	if err != nil {
		return err
	}
	dir, err := planted(e, blobs, func(_ int, blob, path string) (string, error) {
		partial := path + ".partial"
		return partial, half(filepath.Join(from, "blobs", "sha256", blob), partial)
	})
	if err != nil {
		return err
	}
	got, err := t.once(ctx, e, dir)
	if err != nil {
		return fmt.Errorf("over partial files with the first half of each blob: %w", err)
	}
	if err := reaches(dir, got, want, blobs); err != nil {
		return fmt.Errorf("over partial files with the first half of each blob: %w", err)
	}
	return nil
}

func half(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	fi, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.CopyN(out, in, fi.Size()/2)
	return errors.Join(err, out.Close())
}

const cuts = 3

// lifelineOf ends standard input at random moments of a fetch. One that was faster is none the worse.
func lifelineOf(ctx context.Context, e *suite.Env, t target) error {
	start := time.Now()
	_, want, blobs, err := reference(ctx, e, t)
	if err != nil {
		return err
	}
	took := max(time.Since(start), 20*time.Millisecond)
	dir, err := e.Dir()
	if err != nil {
		return err
	}
	for range cuts {
		p, err := t.start(ctx, e, process.Options{})
		if err != nil {
			return err
		}
		done := make(chan struct{})
		go func() { _, _ = t.fetch(ctx, p, dir); close(done) }()
		select {
		case <-time.After(e.Between(took)):
		case <-done:
		}
		p.CutLifeline()
		if _, err := p.Wait(e.Within(endLimit)); err != nil {
			return fmt.Errorf("during a fetch, after the end of its standard input %w", err)
		}
		<-done
	}
	got, err := t.once(ctx, e, dir)
	if err != nil {
		return fmt.Errorf("after %d ends of standard input: %w", cuts, err)
	}
	return reaches(dir, got, want, blobs)
}

func memoryOf(ctx context.Context, e *suite.Env, t target) error {
	return bounded(ctx, e, t, func(dir string, got *fetched) (string, error) {
		size, err := total(dir)
		return fmt.Sprintf("the %d MiB of %s", size>>20, got.image().Digest), err
	})
}

// total is the size of the blobs of a layout.
func total(dir string) (int64, error) {
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs/*/*"))
	var n int64
	for _, path := range blobs {
		fi, serr := os.Stat(path)
		if serr != nil {
			return 0, serr
		}
		n += fi.Size()
	}
	return n, err
}

func resumed(ctx context.Context, e *suite.Env) error {
	return both(ctx, e, resumedRegistry, resumedOf)
}

func lifeline(ctx context.Context, e *suite.Env) error {
	return both(ctx, e, lifelineRegistry, lifelineOf)
}

func memory(ctx context.Context, e *suite.Env) error { return both(ctx, e, memoryRegistry, memoryOf) }
