package fetcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/layout"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/source"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// fetches fails where there is nothing to fetch, since a run that skipped everything would look like a good one.
func fetches(ctx context.Context, e *suite.Env) error {
	if ts, err := targets(e); len(ts) == 0 && !e.Unfetched {
		return fmt.Errorf("nothing was fetched, so this run says nothing of the fetcher: %v; --unfetched, or Options.Unfetched, is content with that", err)
	}
	return each(e, func(t target) error {
		dir, err := e.Dir()
		if err != nil {
			return err
		}
		got, err := t.once(ctx, e, dir)
		if err != nil {
			return err
		}
		if t.server != nil && got.done.GetImage().GetDigest() != t.server.Image.Manifest.Digest {
			return fmt.Errorf("it fetched %s, the registry has %s", got.done.GetImage().GetDigest(), t.server.Image.Manifest.Digest)
		}
		return layout.Check(dir, got.image())
	})
}

func last(ctx context.Context, e *suite.Env) error {
	return each(e, func(t target) error {
		dir, err := e.Dir()
		if err != nil {
			return err
		}
		got, err := t.once(ctx, e, dir)
		switch {
		case err != nil:
			return err
		case got.after > 0:
			return fmt.Errorf("%d events came after done", got.after)
		case got.done.GetCanonical() == "":
			return errors.New("done names no canonical reference")
		case !layout.Indexed(dir):
			return errors.New("done came, and there is no index.json")
		}
		return nil
	})
}

// inside looks at everything beside the layout directory that the plugin could reach, and then makes all of the host
// read-only but what it is given, when root can: it must not need more.
func inside(ctx context.Context, e *suite.Env) error {
	return each(e, func(t target) error {
		dir, err := e.Dir()
		if err != nil {
			return err
		}
		p, err := t.start(ctx, e, process.Options{})
		if err != nil {
			return err
		}
		scratch := filepath.Dir(dir)
		before, tmp := listing(scratch, dir), theirs(e)
		if _, err := t.fetch(ctx, p, dir); err != nil {
			return err
		}
		if after := listing(scratch, dir); !slices.Equal(before, after) {
			return fmt.Errorf("beside the layout directory it wrote %s", firstNew(before, after))
		}
		if now := theirs(e); len(now) > len(tmp) {
			return fmt.Errorf("it wrote %s into %s", firstNew(tmp, now), os.TempDir())
		}
		if os.Geteuid() != 0 {
			return nil
		}
		if dir, err = e.Dir(); err != nil {
			return err
		}
		if p, err = t.start(ctx, e, process.Options{ReadOnly: true, Writable: []string{dir}}); err != nil {
			return err
		}
		got, err := t.fetch(ctx, p, dir)
		if err != nil {
			return fmt.Errorf("with everything read-only but the layout directory: %w", err)
		}
		return layout.Check(dir, got.image())
	})
}

// theirs are the names in the temporary directory that belong to the user whom the plugin runs as. When that is the
// kit's own user they say nothing.
func theirs(e *suite.Env) []string {
	uid := process.User(e.Service)
	if uid == os.Geteuid() {
		return nil
	}
	entries, _ := os.ReadDir(os.TempDir())
	var out []string
	for _, d := range entries {
		if ownedBy(filepath.Join(os.TempDir(), d.Name()), uid) {
			out = append(out, d.Name())
		}
	}
	return out
}

// listing is every name below dir, but not below except.
func listing(dir, except string) []string {
	var out []string
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path == except {
			return fs.SkipDir
		}
		if err == nil {
			out = append(out, path)
		}
		return nil
	})
	return out
}

func firstNew(before, after []string) string {
	for _, name := range after {
		if !slices.Contains(before, name) {
			return name
		}
	}
	return "something"
}

// reference fetches a target undisturbed and returns what is to be reached.
func reference(ctx context.Context, e *suite.Env, t target) (dir string, got *fetched, blobs []string, err error) {
	if dir, err = e.Dir(); err != nil {
		return
	}
	if got, err = t.once(ctx, e, dir); err != nil {
		return
	}
	blobs, err = layout.Blobs(dir)
	return
}

// reaches says whether dir holds the layout that an undisturbed fetch has made.
func reaches(dir string, got, want *fetched, blobs []string) error {
	if got.image() != want.image() {
		return fmt.Errorf("the image is %s, and was %s", got.image().Digest, want.image().Digest)
	}
	if err := layout.Check(dir, got.image()); err != nil {
		return err
	}
	now, err := layout.Blobs(dir)
	if err != nil {
		return err
	}
	if !slices.Equal(now, blobs) {
		return fmt.Errorf("the blobs are %s, and were %s", strings.Join(now, ", "), strings.Join(blobs, ", "))
	}
	return nil
}

func again(ctx context.Context, e *suite.Env) error {
	return each(e, func(t target) error {
		dir, want, blobs, err := reference(ctx, e, t)
		if err != nil {
			return err
		}
		p, err := t.start(ctx, e, process.Options{})
		if err != nil {
			return err
		}
		for range 2 { // in a fresh process, and in one that has fetched before
			got, err := t.fetch(ctx, p, dir)
			if err != nil {
				return fmt.Errorf("the second call: %w", err)
			}
			if got.done == nil {
				return errors.New("the second call ended without done")
			}
			if err := reaches(dir, got, want, blobs); err != nil {
				return fmt.Errorf("after the second call: %w", err)
			}
		}
		return nil
	})
}

func present(ctx context.Context, e *suite.Env) error {
	return each(e, func(t target) error {
		dir, want, blobs, err := reference(ctx, e, t)
		if err != nil {
			return err
		}
		var have []string
		for _, b := range blobs {
			if d := "sha256:" + b; d != want.image().Digest && len(b) == 64 {
				have = append(have, d)
			}
		}
		if len(have) == 0 {
			return suite.Skip("the image has one blob alone")
		}
		if dir, err = e.Dir(); err != nil {
			return err
		}
		got, err := t.once(ctx, e, dir, have...)
		if err != nil {
			return fmt.Errorf("with present_digests: %w", err)
		}
		if err := layout.Check(dir, got.image(), have...); err != nil {
			return fmt.Errorf("with present_digests: %w", err)
		}
		// A digest of something else must not matter.
		if dir, err = e.Dir(); err != nil {
			return err
		}
		if got, err = t.once(ctx, e, dir, "sha256:"+strings.Repeat("0", 64)); err != nil {
			return fmt.Errorf("with a foreign digest in present_digests: %w", err)
		}
		return reaches(dir, got, want, blobs)
	})
}

func platform(ctx context.Context, e *suite.Env) error {
	t, err := docker(e, false, 1000)
	if err != nil {
		return err
	}
	index, foreign, err := t.server.Image.Index(e.Rand)
	if err != nil {
		return err
	}
	t.server.Tags["latest"] = index.Digest
	dir, err := e.Dir()
	if err != nil {
		return err
	}
	got, err := t.once(ctx, e, dir)
	if err != nil {
		return err
	}
	if err := layout.Check(dir, got.image()); err != nil {
		return err
	}
	blobs, err := layout.Blobs(dir)
	if err != nil {
		return err
	}
	if slices.Contains(blobs, strings.TrimPrefix(foreign.Digest, "sha256:")) {
		return errors.New("it fetched a layer of another platform")
	}
	if !slices.Contains(blobs, strings.TrimPrefix(t.server.Image.Layers[0].Digest, "sha256:")) {
		return errors.New("it did not fetch the layer of the asked platform")
	}
	return nil
}

func progress(ctx context.Context, e *suite.Env) error {
	return each(e, func(t target) error {
		_, got, _, err := reference(ctx, e, t)
		if err != nil {
			return err
		}
		return monotonic(got.progress)
	})
}

func monotonic(events []*fetcherv1.Progress) error {
	done := map[string]int64{}
	for _, ev := range events {
		key := ev.GetPhase() + " " + ev.GetItem()
		switch {
		case ev.GetItem() == "" || ev.GetPhase() == "":
			return fmt.Errorf("progress names no phase or no item: %v", ev)
		case ev.GetDone() < 0 || ev.GetTotal() < 0:
			return fmt.Errorf("progress of %s is negative: %d of %d", key, ev.GetDone(), ev.GetTotal())
		case ev.GetDone() < done[key]:
			return fmt.Errorf("progress of %s falls from %d to %d", key, done[key], ev.GetDone())
		case ev.GetTotal() > 0 && ev.GetDone() > ev.GetTotal():
			return fmt.Errorf("progress of %s is %d of %d", key, ev.GetDone(), ev.GetTotal())
		}
		done[key] = ev.GetDone()
	}
	return nil
}

func memoryRegistry(ctx context.Context, e *suite.Env) error {
	if _, err := docker(e, false); err != nil {
		return err
	}
	img, err := source.NewSparse(e.Large)
	if err != nil {
		return err
	}
	t, err := serveImage(e, img, false)
	if err != nil {
		return err
	}
	return bounded(ctx, e, t, func(string, *fetched) (string, error) { return fmt.Sprintf("a layer of %d MiB", e.Large>>20), nil })
}

// bounded fetches t and holds the plugin's memory against its bound; what says of how large an image.
func bounded(ctx context.Context, e *suite.Env, t target, what func(dir string, got *fetched) (string, error)) error {
	dir, err := e.Dir()
	if err != nil {
		return err
	}
	p, err := t.start(ctx, e, process.Options{})
	if err != nil {
		return err
	}
	got, err := t.fetch(ctx, p, dir)
	if err != nil {
		return err
	}
	rss, err := p.PeakRSS()
	if err != nil || rss <= e.Plugin.MaxRSS {
		return err
	}
	text, err := what(dir, got)
	if err != nil {
		return err
	}
	return fmt.Errorf("with %s, %d MiB were resident; the bound is %d MiB", text, rss>>20, e.Plugin.MaxRSS>>20)
}
