package fetcher

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rkt/rkt/v2/proto/reason"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/layout"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// foreign is a fetched image of a media type that Convert takes.
type foreign struct {
	dir   string
	image *fetcherv1.Descriptor
}

// foreigns fetches the vendor's references and keeps those that want converting.
func foreigns(ctx context.Context, e *suite.Env) ([]foreign, error) {
	ts, err := targets(e)
	if err != nil {
		return nil, err
	}
	var out []foreign
	for _, t := range ts {
		dir, got, _, err := reference(ctx, e, t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name(), err)
		}
		if slices.Contains(e.Provision().MediaTypes, got.done.GetImage().GetMediaType()) {
			out = append(out, foreign{dir, got.done.GetImage()})
		}
	}
	if len(out) == 0 {
		return nil, suite.Skip("no reference was given (--reference) of an image of type %v", e.Provision().MediaTypes)
	}
	return out, nil
}

// convert calls Convert in a fresh process without network, as core does.
func convert(ctx context.Context, e *suite.Env, src foreign, out string) (*fetcherv1.ConvertResponse, error) {
	p, err := e.Ready(ctx, process.Options{NoNetwork: true})
	if err != nil {
		return nil, err
	}
	resp, err := convertWith(ctx, p, src, out)
	if err != nil {
		return nil, err
	}
	return resp, p.Close()
}

func convertWith(ctx context.Context, p *process.Process, src foreign, out string) (*fetcherv1.ConvertResponse, error) {
	return fetcherv1.NewFetcherServiceClient(p.Conn).Convert(ctx, &fetcherv1.ConvertRequest{
		LayoutDir: src.dir, Image: src.image, OutLayoutDir: out, Platform: machine(),
	})
}

func eachForeign(ctx context.Context, e *suite.Env, f func(src foreign, out string) error) error {
	fs, err := foreigns(ctx, e)
	if err != nil {
		return err
	}
	for _, src := range fs {
		out, err := e.Dir()
		if err != nil {
			return err
		}
		if err := f(src, out); err != nil {
			return fmt.Errorf("image %s: %w", src.image.GetDigest(), err)
		}
	}
	return nil
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

func converts(ctx context.Context, e *suite.Env) error {
	return eachForeign(ctx, e, func(src foreign, out string) error {
		resp, err := convert(ctx, e, src, out)
		if err != nil {
			return err
		}
		if t := resp.GetImage().GetMediaType(); t != manifestType {
			return fmt.Errorf("the image is of type %q, want %s", t, manifestType)
		}
		if app := resp.GetApp(); app != nil {
			if _, err := os.Stat(filepath.Join(out, layout.BlobName(app.GetDigest()))); err != nil {
				return fmt.Errorf("its app document: %w", err)
			}
		}
		return layout.Check(out, descriptor(resp.GetImage()))
	})
}

func convertsAgain(ctx context.Context, e *suite.Env) error {
	return eachForeign(ctx, e, func(src foreign, out string) error {
		start := time.Now()
		want, err := convert(ctx, e, src, out)
		if err != nil {
			return err
		}
		took := max(time.Since(start), 20*time.Millisecond)
		blobs, err := layout.Blobs(out)
		if err != nil {
			return err
		}
		fresh, err := e.Dir()
		if err != nil {
			return err
		}
		for range kills / 2 {
			p, err := e.Ready(ctx, process.Options{NoNetwork: true})
			if err != nil {
				return err
			}
			done := make(chan struct{})
			go func() { _, _ = convertWith(ctx, p, src, fresh); close(done) }()
			select {
			case <-time.After(e.Between(took)):
			case <-done:
			}
			p.Kill()
			<-done
		}
		for _, dir := range []string{out, fresh} {
			again, err := convert(ctx, e, src, dir)
			if err != nil {
				return fmt.Errorf("the second call: %w", err)
			}
			now, err := layout.Blobs(dir)
			if err != nil {
				return err
			}
			if !proto.Equal(want, again) || !slices.Equal(blobs, now) {
				return fmt.Errorf("first %v, then %v", want, again)
			}
			if err := layout.Check(dir, descriptor(again.GetImage())); err != nil {
				return err
			}
		}
		return nil
	})
}

func convertsSource(ctx context.Context, e *suite.Env) error {
	return eachForeign(ctx, e, func(src foreign, out string) error {
		before, err := contents(src.dir)
		if err != nil {
			return err
		}
		if _, err := convert(ctx, e, src, out); err != nil {
			return err
		}
		after, err := contents(src.dir)
		if err != nil {
			return err
		}
		if !bytes.Equal(before, after) {
			return errors.New("the source layout is not what it was")
		}
		return nil
	})
}

// contents digests names and bytes of a directory.
func contents(dir string) ([]byte, error) {
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		fmt.Fprintf(h, "%s %v\n", path, d.Type())
		_, err = io.Copy(h, f)
		return err
	})
	return h.Sum(nil), err
}

// convertsHostile gives bytes that are no image, a blob that is not there, and a link to a file of the host.
func convertsHostile(ctx context.Context, e *suite.Env) error {
	for _, mediaType := range e.Provision().MediaTypes {
		for name, plant := range map[string]func(path string) error{
			"bytes that are no image": func(path string) error { return os.WriteFile(path, []byte("no image"), 0o644) },
			"a blob that is missing":  func(string) error { return nil },
			"a link to another file":  func(path string) error { return os.Symlink("/etc/passwd", path) },
		} {
			src, out, err := hostile(e, mediaType, plant)
			if err != nil {
				return err
			}
			_, err = convert(ctx, e, src, out)
			if err == nil {
				return fmt.Errorf("%s: %s was converted", mediaType, name)
			}
			if err := answer.Known(err); err != nil {
				return fmt.Errorf("%s: %s: %w", mediaType, name, err)
			}
			if name == "bytes that are no image" {
				if err := answer.Want(err, reason.ImageInvalid); err != nil {
					return fmt.Errorf("%s: %s: %w", mediaType, name, err)
				}
			}
			if layout.Indexed(out) {
				return fmt.Errorf("%s: %s left an index.json", mediaType, name)
			}
		}
	}
	return nil
}

func hostile(e *suite.Env, mediaType string, plant func(path string) error) (foreign, string, error) {
	dir, err := e.Dir()
	if err != nil {
		return foreign{}, "", err
	}
	out, err := e.Dir()
	if err != nil {
		return foreign{}, "", err
	}
	sum := sha256.Sum256([]byte("no image"))
	d := &fetcherv1.Descriptor{MediaType: mediaType, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len("no image"))}
	path := filepath.Join(dir, layout.BlobName(d.GetDigest()))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return foreign{}, "", err
	}
	return foreign{dir, d}, out, plant(path)
}
