package fetcher

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/layout"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// signaturesOnly asks for the signatures alone, looks at what that has left, and fetches the image after it.
func signaturesOnly(ctx context.Context, e *suite.Env) error {
	return each(e, func(t target) error {
		dir, err := e.Dir()
		if err != nil {
			return err
		}
		p, err := t.start(ctx, e, process.Options{})
		if err != nil {
			return err
		}
		first := t
		first.access = &fetcherv1.Access{}
		proto.Merge(first.access, t.access)
		first.access.SignaturesOnly = true
		got, err := first.fetch(ctx, p, dir)
		if err != nil {
			return fmt.Errorf("with signatures_only: %w", err)
		}
		if err := onlySignatures(dir, got.done); err != nil {
			return err
		}
		got, err = t.fetch(ctx, p, dir)
		if err != nil {
			return fmt.Errorf("after signatures_only: %w", err)
		}
		return layout.Check(dir, got.image())
	})
}

func onlySignatures(dir string, done *fetcherv1.FetchDone) error {
	switch {
	case done == nil:
		return errors.New("the stream of signatures_only ended without done")
	case done.GetImage().GetDigest() != "":
		return fmt.Errorf("signatures_only names image %s", done.GetImage().GetDigest())
	case done.GetImage().GetMediaType() == "":
		return errors.New("signatures_only does not name the image's media type")
	case layout.Indexed(dir):
		return errors.New("signatures_only leaves an index.json")
	}
	blobs, err := layout.Blobs(dir)
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, d := range done.GetSignatures() {
		named[filepath.Base(layout.BlobName(d.GetDigest()))] = true
	}
	for _, name := range blobs {
		if !named[name] {
			return fmt.Errorf("signatures_only moved blob %s, which is no signature that it names", name)
		}
		delete(named, name)
	}
	for name := range named {
		return fmt.Errorf("signatures_only names signature %s, which is not there", name)
	}
	return nil
}
