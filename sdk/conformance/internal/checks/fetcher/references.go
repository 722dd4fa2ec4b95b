package fetcher

import (
	"context"
	"fmt"

	"github.com/rkt/rkt/v2/proto/reason"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/layout"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// unreadable: a scheme with nothing behind it names nothing in any scheme.
func unreadable(ctx context.Context, e *suite.Env) error {
	for _, scheme := range e.Provision().Schemes {
		dir, err := e.Dir()
		if err != nil {
			return err
		}
		t := target{ref: scheme + ":", access: &fetcherv1.Access{AllowHttp: true}}
		_, err = t.once(ctx, e, dir)
		if err := answer.Want(err, reason.ReferenceInvalid); err != nil {
			return fmt.Errorf("%s: %w", t.ref, err)
		}
	}
	return nil
}

// absent are targets that name nothing.
func absent(e *suite.Env) ([]target, error) {
	ts, err := targets(e)
	if err != nil && len(e.Plugin.Missing) == 0 {
		return nil, err
	}
	var refs []target
	for _, t := range ts {
		if t.server != nil {
			t.ref = t.server.Reference(":no-such-tag")
			refs = append(refs, t)
		}
	}
	for _, ref := range e.Plugin.Missing {
		refs = append(refs, target{ref: ref, access: &fetcherv1.Access{AllowHttp: e.Plugin.AllowHTTP}})
	}
	if len(refs) == 0 {
		return nil, suite.Skip("no reference of a missing image was given (--missing)")
	}
	return refs, nil
}

func missing(ctx context.Context, e *suite.Env) error {
	refs, err := absent(e)
	if err != nil {
		return err
	}
	for _, t := range refs {
		dir, err := e.Dir()
		if err != nil {
			return err
		}
		_, err = t.once(ctx, e, dir)
		if err := answer.Want(err, reason.ImageNotFound); err != nil {
			return fmt.Errorf("%s: %w", t.ref, err)
		}
		if layout.Indexed(dir) {
			return fmt.Errorf("%s: a failed fetch left an index.json", t.ref)
		}
	}
	return nil
}
