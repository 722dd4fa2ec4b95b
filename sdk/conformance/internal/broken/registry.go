package broken

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/proto/reason"
)

// repository is a place in a registry.
type repository struct {
	*job
	client *http.Client
	base   string // https://HOST/v2/NAME
	host   string
	what   string // a tag or a digest
}

func (j *job) open(ref string) (*repository, error) {
	rest, ok := strings.CutPrefix(ref, "docker://")
	host, name, slash := strings.Cut(rest, "/")
	if !ok || !slash || host == "" || name == "" {
		if j.is("takes-any-reference") {
			return nil, fail(reason.ImageNotFound, "%q", ref)
		}
		return nil, fail(reason.ReferenceInvalid, "%q is not docker://HOST/NAME", ref)
	}
	r := &repository{job: j, host: host, what: "latest"}
	if n, d, ok := strings.Cut(name, "@"); ok {
		name, r.what = n, d
	} else if n, t, ok := strings.Cut(name, ":"); ok {
		name, r.what = n, t
	}
	insecure := j.access.GetInsecureTls() || j.is("believes-any-certificate")
	r.client = &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: insecure}, DisableKeepAlives: true},
		CheckRedirect: r.redirect,
	}
	if j.is("has-no-patience") {
		r.client.Timeout = 500 * time.Millisecond
	}
	r.base = "https://" + host + "/v2/" + name
	return r, r.reach(name)
}

func (j *job) plainHTTP() bool { return j.access.GetAllowHttp() || j.is("always-takes-http") }

// reach finds out which scheme the server speaks.
func (r *repository) reach(name string) error {
	_, err := r.do(http.MethodGet, "https://"+r.host+"/v2/", nil)
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &plain) || err != nil && strings.Contains(err.Error(), "server gave HTTP response"):
		if !r.plainHTTP() {
			return fail(reason.InsecureRefused, "%s speaks plain http", r.host)
		}
		r.base = "http://" + r.host + "/v2/" + name
	case err != nil && strings.Contains(err.Error(), "certificate"):
		return fail(reason.InsecureRefused, "%v", err)
	case err != nil && r.ctx.Err() != nil:
		return r.ctx.Err()
	case err != nil:
		return fail(reason.NetworkUnreachable, "%v", err)
	}
	return nil
}

// redirect follows to where the credential does not go along.
func (r *repository) redirect(req *http.Request, via []*http.Request) error {
	if len(via) > 5 {
		return errors.New("too many redirects")
	}
	if req.URL.Scheme == "http" && via[0].URL.Scheme == "https" && !r.plainHTTP() && !r.is("follows-to-http") {
		return errPlain
	}
	if r.is("sends-credentials-along") {
		r.login(req)
	} else {
		req.Header.Del("Authorization")
	}
	return nil
}

var errPlain = errors.New("redirect to plain http")

func (r *repository) login(req *http.Request) {
	for _, c := range r.access.GetCredentials() {
		if c.GetHost() == r.host || r.is("sends-credentials-to-anybody") {
			text := base64.StdEncoding.EncodeToString([]byte(c.GetUsername() + ":" + c.GetPassword()))
			req.Header.Set("Authorization", "Basic "+text)
		}
	}
}

func (r *repository) do(method, to string, header http.Header) (*http.Response, error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	req := (&http.Request{Method: method, URL: u, Header: http.Header{}}).WithContext(r.ctx)
	for k, v := range header {
		req.Header[k] = v
	}
	if (u.Scheme == "https" || r.is("sends-credentials-to-anybody")) && !strings.HasSuffix(to, "/v2/") {
		r.login(req)
	}
	return r.client.Do(req)
}

// get is a request with what its failures mean.
func (r *repository) get(path string, header http.Header) (*http.Response, error) {
	resp, err := r.do(http.MethodGet, r.base+path, header)
	switch {
	case errors.Is(err, errPlain):
		return nil, fail(reason.InsecureRefused, "%v", err)
	case err != nil && r.ctx.Err() != nil:
		return nil, r.ctx.Err()
	case err != nil:
		return nil, fail(reason.NetworkUnreachable, "%v", err)
	case resp.StatusCode < 300:
		return resp, nil
	}
	resp.Body.Close()
	why := reason.NetworkUnreachable
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound && r.is("does-not-find-words"):
		why = reason.Internal
	case code == http.StatusNotFound:
		why = reason.ImageNotFound
	case code == http.StatusTooManyRequests && !r.is("does-not-see-throttling"):
		why = reason.RegistryThrottled
	case code == http.StatusUnauthorized:
		why = reason.AuthRequired
		if resp.Request.Header.Get("Authorization") != "" && !r.is("never-denied") || r.is("always-denied") {
			why = reason.AuthDenied
		}
	case code >= 500 && r.is("takes-failure-for-absence"):
		why = reason.ImageNotFound
	}
	return nil, fail(why, "%s%s: %s", r.base, path, resp.Status)
}

// manifest returns the manifest for the architecture.
func (r *repository) manifest(arch string) (descriptor, []byte, error) {
	what := r.what
	for range 2 {
		resp, err := r.get("/manifests/"+what, http.Header{"Accept": {manifestType, indexType}})
		if err != nil {
			return descriptor{}, nil, err
		}
		b, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
		resp.Body.Close()
		if err != nil {
			return descriptor{}, nil, fail(reason.NetworkUnreachable, "%v", err)
		}
		d := describe(resp.Header.Get("Content-Type"), b)
		if strings.HasPrefix(what, "sha256:") && d.Digest != what && !r.is("believes-any-manifest") {
			return d, nil, fail(reason.DigestMismatch, "the manifest has the digest %s, not %s", d.Digest, what)
		}
		if d.MediaType != indexType {
			return d, b, nil
		}
		var index struct{ Manifests []descriptor }
		if err := json.Unmarshal(b, &index); err != nil {
			return d, nil, fail(reason.ImageInvalid, "%v", err)
		}
		for _, m := range index.Manifests {
			if m.Platform != nil && m.Platform.Architecture == arch || r.is("takes-the-first-platform") {
				what = m.Digest
				break
			}
		}
	}
	return descriptor{}, nil, fail(reason.ImageNotFound, "no manifest for %s", arch)
}

func (r *repository) blob(d descriptor, off int64) (io.ReadCloser, error) {
	header := http.Header{}
	if off > 0 && off < d.Size {
		header.Set("Range", fmt.Sprintf("bytes=%d-", off))
	}
	if off == d.Size {
		return io.NopCloser(strings.NewReader("")), nil
	}
	resp, err := r.get("/blobs/"+d.Digest, header)
	if err != nil {
		return nil, err
	}
	if off > 0 && resp.StatusCode != http.StatusPartialContent {
		_, err = io.CopyN(io.Discard, resp.Body, off)
	}
	return resp.Body, err
}
