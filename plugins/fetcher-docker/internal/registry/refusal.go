package registry

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// temporary wraps an error that another try may cure.
type temporary struct {
	err   error
	after time.Duration // the server's wish
}

func (t *temporary) Error() string { return t.err.Error() }
func (t *temporary) Unwrap() error { return t.err }

// errStalled is the cause of a request that was given up because no byte came.
var errStalled = errors.New("the transfer stalls")

// errRange is wrapped by the error about a range that the server cannot serve.
var errRange = errors.New("no such range")

// transportError is about a request without an answer.
func (c *Client) transportError(ctx context.Context, u *url.URL, err error) error {
	if ctx.Err() != nil {
		if cause := context.Cause(ctx); !errors.Is(cause, errStalled) {
			return cause
		}
		err = errStalled
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL: its query may be a secret
	}
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return plugin.Errorf(reason.InsecureRefused, "ask %s: it speaks plain http, not https; allow that with --insecure-options=http", u.Host)
	case isCertificate(err):
		return plugin.Errorf(reason.InsecureRefused, "ask %s: %w; add its authority to this host's certificates, or skip the check with --insecure-options=tls", u.Host, err)
	}
	e := plugin.Errorf(reason.NetworkUnreachable, "ask %s: %w", u.Host, err)
	if _, dns := errors.AsType[*net.DNSError](err); (dns || errors.Is(err, syscall.ECONNREFUSED)) && !c.contacted.Load() {
		return e // a wrong name or port: answer at once
	}
	return &temporary{err: e}
}

func isCertificate(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// refusal is about an answer that is not what was asked for.
func (c *Client) refusal(resp *http.Response, kind, what string, strayed bool) error {
	said := registrySays(resp)
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return &temporary{err: plugin.Errorf(reason.DigestMismatch, "ask %s: blob %s: %w", c.ref.Registry, what, errRange)}
	}
	if strayed {
		host := resp.Request.URL.Host
		err := plugin.Errorf(reason.NetworkUnreachable, "ask %s: its storage at %s answers %s", c.ref.Registry, fault.Quote(host), status(resp))
		if resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized || transient(resp.StatusCode) {
			return &temporary{err: err, after: retryAfter(resp)} // a signed address may just have run out
		}
		return err
	}
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized:
		return c.unauthorized(said)
	case code == http.StatusForbidden:
		return plugin.Errorf(reason.AuthDenied, "ask %s: no access to repository %s%s%s", c.ref.Registry, c.ref.Repository, said, c.note())
	case code == http.StatusNotFound && kind == "blobs":
		return plugin.Errorf(reason.ImageNotFound, "ask %s: repository %s has lost blob %s, which the manifest names%s", c.ref.Registry, c.ref.Repository, what, said)
	case code == http.StatusNotFound:
		return c.notFound(what, said)
	case code == http.StatusTooManyRequests:
		after := retryAfter(resp)
		err := plugin.Errorf(reason.RegistryThrottled, "ask %s: it wants fewer requests%s%s", c.ref.Registry, said, c.loginHint())
		if after > 0 {
			err = err.RetryAfter(after)
		}
		return &temporary{err: err, after: after}
	case transient(code):
		return &temporary{err: plugin.Errorf(reason.NetworkUnreachable, "ask %s: it answers %s%s", c.ref.Registry, status(resp), said), after: retryAfter(resp)}
	}
	return plugin.Errorf(reason.NetworkUnreachable, "ask %s for %s: it answers %s%s; is it a registry of version 2?", c.ref.Registry, c.ref.Repository, status(resp), said)
}

func transient(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func (c *Client) unauthorized(said string) error {
	c.mu.Lock()
	used := c.authUsed
	c.mu.Unlock()
	if used {
		return plugin.Errorf(reason.AuthDenied, "log in to %s: the credential for it was refused, or may not read repository %s%s", c.ref.Registry, c.ref.Repository, said)
	}
	if note := c.note(); note != "" {
		return plugin.Errorf(reason.AuthRequired, "log in to %s: repository %s does not exist or needs a login%s%s", c.ref.Registry, c.ref.Repository, said, note)
	}
	return plugin.Errorf(reason.AuthRequired, "log in to %s: repository %s does not exist or needs a login%s; no credential for %s is configured",
		c.ref.Registry, c.ref.Repository, said, c.ref.Registry)
}

func (c *Client) note() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.withheld == "" {
		return ""
	}
	return "; " + c.withheld
}

func (c *Client) loginHint() string {
	if c.credential(c.ref.Registry) == nil {
		return "; a login may have a higher limit"
	}
	return ""
}

func (c *Client) notFound(what, said string) error {
	if strings.Contains(said, "NAME_UNKNOWN") {
		return plugin.Errorf(reason.ImageNotFound, "ask %s: there is no repository %s%s", c.ref.Registry, c.ref.Repository, said)
	}
	if strings.Contains(what, ":") {
		return plugin.Errorf(reason.ImageNotFound, "ask %s: repository %s has no manifest %s%s", c.ref.Registry, c.ref.Repository, what, said)
	}
	return plugin.Errorf(reason.ImageNotFound, "ask %s: repository %s does not exist or has no tag %s%s", c.ref.Registry, c.ref.Repository, what, said)
}

// tokenRefusal is called with c.mu held.
func (c *Client) tokenRefusal(resp *http.Response, host string, loggedIn bool) error {
	said := registrySays(resp)
	switch code := resp.StatusCode; {
	case transient(code):
		err := plugin.Errorf(reason.NetworkUnreachable, "log in to %s: its token service %s answers %s%s", c.ref.Registry, host, status(resp), said)
		if code == http.StatusTooManyRequests {
			err.Reason = reason.RegistryThrottled
		}
		return &temporary{err: err, after: retryAfter(resp)}
	case loggedIn:
		return plugin.Errorf(reason.AuthDenied, "log in to %s: its token service %s refuses the credential: %s%s", c.ref.Registry, fault.Quote(host), status(resp), said)
	}
	hint := c.withheld
	if hint == "" {
		hint = "no credential for " + c.ref.Registry + " is configured"
	}
	return plugin.Errorf(reason.AuthRequired, "log in to %s: its token service %s answers %s%s; %s", c.ref.Registry, fault.Quote(host), status(resp), said, hint)
}

func status(resp *http.Response) string {
	return fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
}

// registrySays takes the first error of the body, as the distribution spec writes them: " (CODE: message)".
func registrySays(resp *http.Response) string {
	var body struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
		Details string `json:"details"` // token services
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 16<<10))
	if json.Unmarshal(b, &body) != nil {
		return ""
	}
	said := body.Details
	if len(body.Errors) > 0 {
		said = body.Errors[0].Code + ": " + body.Errors[0].Message
	}
	if strings.Trim(said, ": ") == "" {
		return ""
	}
	return " (" + strings.Trim(fault.Quote(said), `"`) + ")"
}

// retryAfter reads both forms of the header.
func retryAfter(resp *http.Response) time.Duration {
	v := resp.Header.Get("Retry-After")
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}
