package transfer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

const (
	dialTimeout   = 20 * time.Second
	headerTimeout = 60 * time.Second
	// stallTimeout ends a connection on which nothing comes; the download is then resumed on another one.
	stallTimeout = 60 * time.Second
	maxRedirects = 10
)

// Client asks servers within what the caller allows.
type Client struct {
	http    *http.Client
	access  fetcher.Access
	backoff func(try int) time.Duration
}

// New makes a client. version goes into the User-Agent.
func New(access fetcher.Access, version string) *Client {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // an image is its bytes as they lie there; Range is of those, too
		MaxResponseHeaderBytes: 256 << 10,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: access.InsecureTLS},
	}
	c := &Client{access: access, backoff: func(try int) time.Duration { return time.Duration(try) * time.Second }}
	c.http = &http.Client{
		Transport: &rules{next: t, access: access, agent: "rkt/" + version},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			req.Header.Del("Referer") // a URL may hold a token
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return nil
		},
	}
	return c
}

// rules is asked for every request, also those after a redirect.
type rules struct {
	next   http.RoundTripper
	access fetcher.Access
	agent  string
}

func (r *rules) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := r.allowed(req.URL); err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", r.agent)
	// Set here for each hop, so that no header of a former host is ever carried on.
	req.Header.Del("Authorization")
	if c := r.credential(req.URL); c != nil {
		if c.Token != "" {
			req.Header.Set("Authorization", "Bearer "+c.Token)
		} else {
			req.SetBasicAuth(c.Username, c.Password)
		}
	}
	return r.next.RoundTrip(req)
}

func (r *rules) allowed(u *url.URL) error {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fetcher.InsecureRefused("%s is neither https nor http", Redact(u))
	case u.Host == "":
		return fetcher.ReferenceInvalid("%s names no host", Redact(u))
	case u.Scheme == "http" && !r.access.AllowHTTP:
		return fetcher.InsecureRefused("%s is plain http, where anybody on the way can change what is sent; allow it with --insecure-options=http", Redact(u))
	}
	return nil
}

func (r *rules) credential(u *url.URL) *fetcher.Credential {
	if u.Scheme != "https" {
		return nil
	}
	if c := r.access.Credential(u.Host); c != nil {
		return c
	}
	if u.Port() == "443" {
		return r.access.Credential(u.Hostname())
	}
	if u.Port() == "" {
		return r.access.Credential(u.Host + ":443")
	}
	return nil
}

// Get fetches a small document. status is 200 or, when later is set, perhaps 202: "ask me later".
func (c *Client) Get(ctx context.Context, u string, limit int64, later bool) (body []byte, status int, err error) {
	resp, err := c.do(ctx, u, nil)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if later && resp.StatusCode == http.StatusAccepted {
		return nil, resp.StatusCode, nil
	}
	if err := c.status(resp, u); err != nil {
		return nil, 0, err
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, 0, fetcher.NetworkUnreachable("get %s: %w", redact(u), err)
	}
	if int64(len(body)) > limit {
		return nil, 0, fetcher.NetworkUnreachable("get %s: the answer has more than %d bytes", redact(u), limit)
	}
	return body, resp.StatusCode, nil
}

func (c *Client) do(ctx context.Context, u string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, fetcher.ReferenceInvalid("%w", err)
	}
	if req.URL.User != nil {
		return nil, fetcher.ReferenceInvalid("%s holds a password; put credentials into a file of auth.d", Redact(req.URL))
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := c.http.Do(req)
	if err == nil {
		return resp, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var own *plugin.Error // a refusal by rules
	if errors.As(err, &own) {
		return nil, own
	}
	var certErr *tls.CertificateVerificationError
	if errors.As(err, &certErr) {
		return nil, fetcher.InsecureRefused("get %s: %w; if you trust the way to the server, allow it with --insecure-options=tls", redact(u), certErr)
	}
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err // its text repeats the URL, unredacted
	}
	return nil, fetcher.NetworkUnreachable("get %s: %w", redact(u), err)
}

// status turns an answer that is not 200 or 206 into an error.
func (c *Client) status(resp *http.Response, u string) error {
	at := redact(u)
	if final := Redact(resp.Request.URL); final != at {
		at += " (redirected to " + final + ")"
	}
	switch s := resp.StatusCode; {
	case s == http.StatusOK, s == http.StatusPartialContent:
		return nil
	case s == http.StatusUnauthorized && resp.Request.Header.Get("Authorization") == "" && c.used(resp.Request.URL) == nil:
		return fetcher.AuthRequired("get %s: the server wants a credential for %s, and none is configured (auth.d)", at, resp.Request.URL.Host)
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return fetcher.AuthDenied("get %s: %s", at, resp.Status)
	case s == http.StatusNotFound, s == http.StatusGone:
		return fetcher.NotFound("get %s: %s", at, resp.Status)
	case s == http.StatusTooManyRequests:
		err := fetcher.Throttled("get %s: %s", at, resp.Status)
		if n, e := strconv.Atoi(resp.Header.Get("Retry-After")); e == nil && n >= 0 && n < 86400 {
			err = err.RetryAfter(time.Duration(n) * time.Second)
		}
		return err
	}
	return fetcher.NetworkUnreachable("get %s: %s", at, resp.Status)
}

func (c *Client) used(u *url.URL) *fetcher.Credential {
	return (&rules{access: c.access}).credential(u)
}

// Redact prints a URL without its query, which may be a token.
func Redact(u *url.URL) string {
	s := u.Redacted()
	if i := strings.IndexByte(s, '?'); i >= 0 && u.RawQuery != "ac-discovery=1" {
		s = s[:i] + "?..."
	}
	return s
}

func redact(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "the URL"
	}
	return Redact(u)
}

// transient says whether another try may end better: only what the network did, never a refusal.
func transient(err error) bool {
	var e *plugin.Error
	return errors.As(err, &e) && e.Reason == reason.NetworkUnreachable
}
