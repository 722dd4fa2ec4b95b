package registry

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// maxRedirects is twice what real registries need (one to the storage, one to its edge).
const maxRedirects = 5

// follow sends GET u and goes where redirects point. auth is sent as long as every hop stays at u's own scheme,
// host and port; strayed says that one did not.
func (c *Client) follow(ctx context.Context, u *url.URL, h http.Header, auth string) (resp *http.Response, strayed bool, err error) {
	start := u
	for range maxRedirects + 1 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, strayed, plugin.Errorf(reason.NetworkUnreachable, "ask %s: %w", fault.Quote(u.Host), err)
		}
		for k, v := range h {
			req.Header[k] = v
		}
		req.Header.Set("User-Agent", c.opts.UserAgent)
		if auth != "" && !strayed {
			req.Header.Set("Authorization", auth)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			return nil, strayed, c.transportError(ctx, u, err)
		}
		switch resp.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
			http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			return resp, strayed, nil
		}
		location := resp.Header.Get("Location")
		drain(resp)
		next, err := u.Parse(location)
		if err != nil || location == "" || next.Host == "" {
			return nil, strayed, plugin.Errorf(reason.NetworkUnreachable, "ask %s: it redirects to %s, which is no address", u.Host, fault.Quote(clipQuery(location)))
		}
		next.User = nil // net/http would make a login of it
		switch {
		case next.Scheme == "https", next.Scheme == "http" && u.Scheme == "http":
		case next.Scheme == "http" && c.opts.AllowHTTP:
		case next.Scheme == "http":
			return nil, strayed, plugin.Errorf(reason.InsecureRefused, "ask %s: it redirects to plain http at %s; allow it with --insecure-options=http", u.Host, fault.Quote(next.Host))
		default:
			return nil, strayed, plugin.Errorf(reason.NetworkUnreachable, "ask %s: it redirects to a %s address", u.Host, fault.Quote(next.Scheme))
		}
		strayed = strayed || !sameOrigin(start, next)
		u = next
	}
	return nil, strayed, plugin.Errorf(reason.NetworkUnreachable, "ask %s: more than %d redirects", start.Host, maxRedirects)
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

func clipQuery(location string) string {
	location, _, _ = strings.Cut(location, "?")
	return location
}

// drain lets the connection be used again when little is left, and closes the body.
func drain(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, 16<<10)
	resp.Body.Close()
}
