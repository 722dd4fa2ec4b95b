package fetcher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/rkt/rkt/v2/proto/reason"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/layout"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/source"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

const basic = `Basic realm="kit"`

func authRequired(ctx context.Context, e *suite.Env) error {
	t, err := docker(e, true, 5000)
	if err != nil {
		return err
	}
	t.server.Hook = status(http.StatusUnauthorized, "WWW-Authenticate", basic)
	return t.refused(ctx, e, reason.AuthRequired)
}

func (t target) withCredential(host string) target {
	t.access = &fetcherv1.Access{AllowHttp: true, InsecureTls: true, Credentials: []*fetcherv1.Credential{
		{Host: host, Username: "conformance", Password: "secret-of-the-kit"},
	}}
	return t
}

func authDenied(ctx context.Context, e *suite.Env) error {
	t, err := docker(e, true, 5000)
	if err != nil {
		return err
	}
	t = t.withCredential(t.server.Host())
	t.server.Hook = status(http.StatusUnauthorized, "WWW-Authenticate", basic)
	return t.refused(ctx, e, reason.AuthDenied)
}

// login answers only who has a credential.
func login(s *source.Server, then func(w http.ResponseWriter, r *http.Request) bool) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "" {
			return status(http.StatusUnauthorized, "WWW-Authenticate", basic)(w, r)
		}
		return then != nil && then(w, r)
	}
}

// leaked says whether a request carried anything of a credential.
func leaked(s *source.Server) error {
	for _, r := range s.Requests("") {
		if r.Authorization != "" {
			scheme, _, _ := strings.Cut(r.Authorization, " ")
			return fmt.Errorf("it sent an Authorization header (%s) to %s, whose credential it is not", scheme, s.URL())
		}
	}
	return nil
}

func credentialRedirect(ctx context.Context, e *suite.Env) error {
	t, err := docker(e, true, 5000)
	if err != nil {
		return err
	}
	storage, err := source.Serve(t.server.Image, true)
	if err != nil {
		return err
	}
	e.Defer(storage.Close)
	t = t.withCredential(t.server.Host())
	layer := t.server.Image.Layers[0]
	t.server.Hook = login(t.server, func(w http.ResponseWriter, r *http.Request) bool {
		if !source.IsLayer(r, layer) {
			return false
		}
		http.Redirect(w, r, storage.URL()+r.URL.Path, http.StatusTemporaryRedirect)
		return true
	})
	dir, err := e.Dir()
	if err != nil {
		return err
	}
	got, err := t.once(ctx, e, dir)
	if err != nil {
		return fmt.Errorf("with a credential, and the layer at another host: %w", err)
	}
	return errors.Join(leaked(storage), layout.Check(dir, got.image()))
}

func credentialPlain(ctx context.Context, e *suite.Env) error {
	t, err := docker(e, false, 5000)
	if err != nil {
		return err
	}
	for _, host := range []string{t.server.Host(), "registry.example.com"} {
		t = t.withCredential(host)
		t.server.Hook = login(t.server, nil)
		dir, err := e.Dir()
		if err != nil {
			return err
		}
		_, err = t.once(ctx, e, dir)
		if lerr := leaked(t.server); lerr != nil {
			return lerr
		}
		if err := answer.Want(err, reason.AuthRequired, reason.AuthDenied, reason.InsecureRefused); err != nil {
			return fmt.Errorf("plain http, with a credential for %s: %w", host, err)
		}
	}
	secure, err := docker(e, true, 5000)
	if err != nil {
		return err
	}
	secure = secure.withCredential("registry.example.com")
	secure.server.Hook = login(secure.server, nil)
	dir, err := e.Dir()
	if err != nil {
		return err
	}
	_, err = secure.once(ctx, e, dir)
	if lerr := leaked(secure.server); lerr != nil {
		return lerr
	}
	return answer.Want(err, reason.AuthRequired, reason.AuthDenied)
}
