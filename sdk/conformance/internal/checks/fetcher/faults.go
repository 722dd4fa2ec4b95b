package fetcher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/proto/reason"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/layout"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/source"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// A fault must end in an error with the right reason and without a visible image, or be overcome. Once it is gone, the
// same call on the same directory succeeds.

// refused runs one fetch that must fail with one of want, and then one without the fault.
func (t target) refused(ctx context.Context, e *suite.Env, want ...reason.Reason) error {
	dir, err := e.Dir()
	if err != nil {
		return err
	}
	_, err = t.once(ctx, e, dir)
	if err := answer.Want(err, want...); err != nil {
		return err
	}
	if layout.Indexed(dir) {
		return errors.New("a failed fetch left an index.json")
	}
	return t.recovers(ctx, e, dir)
}

func (t target) recovers(ctx context.Context, e *suite.Env, dir string) error {
	t.server.Hook = nil
	t.access = &fetcherv1.Access{AllowHttp: true, InsecureTls: true, Credentials: t.access.GetCredentials()}
	got, err := t.once(ctx, e, dir)
	if err != nil {
		return fmt.Errorf("with the fault gone, on the same directory: %w", err)
	}
	return layout.Check(dir, got.image())
}

// hook answers requests for the layer with f.
func (t target) hook(f func(w http.ResponseWriter, r *http.Request, d layout.Descriptor)) {
	d := t.server.Image.Layers[0]
	t.server.Hook = func(w http.ResponseWriter, r *http.Request) bool {
		if !source.IsLayer(r, d) {
			return false
		}
		f(w, r, d)
		return true
	}
}

func wrongDigest(ctx context.Context, e *suite.Env) error {
	t, err := docker(e, false, 5000)
	if err != nil {
		return err
	}
	t.hook(func(w http.ResponseWriter, _ *http.Request, d layout.Descriptor) {
		b := make([]byte, d.Size)
		w.Header().Set("Content-Length", fmt.Sprint(d.Size))
		_, _ = w.Write(b)
	})
	return t.refused(ctx, e, reason.DigestMismatch)
}

func wrongSize(ctx context.Context, e *suite.Env) error {
	for _, change := range []int64{-700, 700} {
		t, err := docker(e, false, 5000)
		if err != nil {
			return err
		}
		t.hook(func(w http.ResponseWriter, r *http.Request, d layout.Descriptor) {
			b := make([]byte, d.Size+700)
			_, _ = t.server.Image.Blobs[d.Digest].At.ReadAt(b[:d.Size], 0)
			w.Header().Set("Content-Length", fmt.Sprint(d.Size+change))
			_, _ = w.Write(b[:d.Size+change])
		})
		want := []reason.Reason{reason.DigestMismatch, reason.ImageInvalid}
		if change < 0 {
			want = append(want, reason.NetworkUnreachable)
		}
		if err := t.refused(ctx, e, want...); err != nil {
			return fmt.Errorf("%+d bytes: %w", change, err)
		}
	}
	return nil
}

func wrongManifest(ctx context.Context, e *suite.Env) error {
	t, err := docker(e, false, 5000)
	if err != nil {
		return err
	}
	t.ref = t.server.Reference("@" + t.server.Image.Manifest.Digest)
	other := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[]}`)
	t.server.Hook = func(w http.ResponseWriter, r *http.Request) bool {
		if !source.IsManifest(r) {
			return false
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Docker-Content-Digest", t.server.Image.Manifest.Digest)
		w.Header().Set("Content-Length", fmt.Sprint(len(other)))
		if r.Method != http.MethodHead {
			_, _ = w.Write(other)
		}
		return true
	}
	return t.refused(ctx, e, reason.DigestMismatch)
}

// truncated breaks every connection after some bytes, then once only.
func truncated(ctx context.Context, e *suite.Env) error {
	t, err := docker(e, false, 100_000)
	if err != nil {
		return err
	}
	broken := 0
	t.hook(func(w http.ResponseWriter, r *http.Request, d layout.Descriptor) {
		if broken++; broken > 1 {
			t.server.Answer(w, r)
			return
		}
		t.server.Part(w, d, 40_000)
		source.Break()
	})
	dir, err := e.Dir()
	if err != nil {
		return err
	}
	got, err := t.once(ctx, e, dir)
	if err != nil {
		if err := answer.Want(err, reason.NetworkUnreachable); err != nil {
			return fmt.Errorf("after one broken connection: %w", err)
		}
		return t.recovers(ctx, e, dir)
	}
	return layout.Check(dir, got.image())
}

// status answers everything with an HTTP status.
func status(code int, header ...string) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		return true
	}
}

func failing(ctx context.Context, e *suite.Env) error {
	for _, code := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable} {
		t, err := docker(e, false, 5000)
		if err != nil {
			return err
		}
		t.server.Hook = status(code)
		if err := t.refused(ctx, e, reason.NetworkUnreachable); err != nil {
			return fmt.Errorf("status %d: %w", code, err)
		}
	}
	return nil
}

func throttled(ctx context.Context, e *suite.Env) error {
	t, err := docker(e, false, 5000)
	if err != nil {
		return err
	}
	// So long a wait is for the caller to decide about.
	t.server.Hook = status(http.StatusTooManyRequests, "Retry-After", "86400")
	return t.refused(ctx, e, reason.RegistryThrottled)
}

func plainHTTP(ctx context.Context, e *suite.Env) error {
	t, err := docker(e, false, 5000)
	if err != nil {
		return err
	}
	t.access = &fetcherv1.Access{}
	if err := t.refused(ctx, e, reason.InsecureRefused); err != nil {
		return err
	}
	t.access = &fetcherv1.Access{InsecureTls: true}
	return t.refused(ctx, e, reason.InsecureRefused)
}

func unknownCA(ctx context.Context, e *suite.Env) error {
	t, err := docker(e, true, 5000)
	if err != nil {
		return err
	}
	t.access = &fetcherv1.Access{}
	if err := t.refused(ctx, e, reason.InsecureRefused); err != nil {
		return err
	}
	for _, r := range t.server.Requests("") {
		if r.Path != "" && r.Authorization != "" {
			return errors.New("it sent a credential")
		}
	}
	return nil
}

func redirected(ctx context.Context, e *suite.Env) error {
	t, err := docker(e, true, 5000)
	if err != nil {
		return err
	}
	plain, err := source.Serve(t.server.Image, false)
	if err != nil {
		return err
	}
	e.Defer(plain.Close)
	t.hook(func(w http.ResponseWriter, r *http.Request, _ layout.Descriptor) {
		http.Redirect(w, r, plain.URL()+r.URL.Path, http.StatusTemporaryRedirect)
	})
	if err := t.refused(ctx, e, reason.InsecureRefused); err != nil {
		return err
	}
	if n := len(plain.Requests("")); n > 0 {
		return fmt.Errorf("it followed the redirect to plain http with %d requests", n)
	}
	return nil
}

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

// slow sends the first byte of a layer after a second, and the others in pieces.
func slow(ctx context.Context, e *suite.Env) error {
	t, err := docker(e, false, 200<<10)
	if err != nil {
		return err
	}
	t.hook(func(w http.ResponseWriter, r *http.Request, _ layout.Descriptor) {
		time.Sleep(time.Second) // the server is meant to be slow
		t.server.Answer(&trickle{ResponseWriter: w}, r)
	})
	dir, err := e.Dir()
	if err != nil {
		return err
	}
	got, err := t.once(ctx, e, dir)
	if err != nil {
		return err
	}
	return errors.Join(monotonic(got.progress), layout.Check(dir, got.image()))
}

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
