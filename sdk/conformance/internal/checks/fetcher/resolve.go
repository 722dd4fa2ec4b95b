package fetcher

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/rkt/rkt/v2/proto/reason"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

func (t target) resolve(ctx context.Context, p *process.Process) (*fetcherv1.ResolveResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveLimit)
	defer cancel()
	return fetcherv1.NewFetcherServiceClient(p.Conn).Resolve(ctx, &fetcherv1.ResolveRequest{
		Reference: t.ref, Platform: machine(), Access: t.access,
	})
}

func resolves(ctx context.Context, e *suite.Env) error {
	return each(e, func(t target) error {
		_, want, _, err := reference(ctx, e, t)
		if err != nil {
			return err
		}
		p, err := t.start(ctx, e, process.Options{})
		if err != nil {
			return err
		}
		said, err := t.resolve(ctx, p)
		if err != nil {
			return err
		}
		if got := descriptor(said.GetDescriptor_()); got != want.image() {
			return fmt.Errorf("Resolve says %s (%s), Fetch fetched %s (%s)", got.Digest, got.MediaType, want.image().Digest, want.image().MediaType)
		}
		if said.GetCanonical() != want.done.GetCanonical() {
			return fmt.Errorf("Resolve calls it %q, Fetch %q", said.GetCanonical(), want.done.GetCanonical())
		}
		return nil
	})
}

func resolvesAgain(ctx context.Context, e *suite.Env) error {
	return each(e, func(t target) error {
		p, err := t.start(ctx, e, process.Options{})
		if err != nil {
			return err
		}
		scratch := filepath.Dir(p.SocketDir)
		before := listing(scratch, p.SocketDir)
		first, err := t.resolve(ctx, p)
		if err != nil {
			return err
		}
		second, err := t.resolve(ctx, p)
		if err != nil {
			return fmt.Errorf("the second time: %w", err)
		}
		if !proto.Equal(first, second) {
			return fmt.Errorf("first %v, then %v", first, second)
		}
		if after := listing(scratch, p.SocketDir); !slices.Equal(before, after) {
			return fmt.Errorf("it wrote %s", firstNew(before, after))
		}
		return nil
	})
}

func resolvesMissing(ctx context.Context, e *suite.Env) error {
	refs, err := absent(e)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range refs {
		p, err := t.start(ctx, e, process.Options{})
		if err != nil {
			return err
		}
		_, err = t.resolve(ctx, p)
		errs = append(errs, answer.Want(err, reason.ImageNotFound))
	}
	return errors.Join(errs...)
}
