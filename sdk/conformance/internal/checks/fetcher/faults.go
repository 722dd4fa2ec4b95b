package fetcher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
