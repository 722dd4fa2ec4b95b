package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/reference"
)

// Credential is for one registry.
type Credential struct {
	Host               string // host[:port] as in references
	Username, Password string
	Token              string // bearer, instead of the former
}

// Options are the caller's leaves and the admin's choices.
type Options struct {
	AllowHTTP   bool
	InsecureTLS bool
	Credentials []Credential
	TokenHosts  []string // further hosts that may see the registry's credential to make a token of it
	UserAgent   string
	RootCAs     *x509.CertPool // nil: the system's
	Tuning      Tuning
}

// Tuning are the limits of waiting. The zero value of a field means the default.
type Tuning struct {
	Retries     int           // tries after the first one without progress
	Backoff     time.Duration // wait before the first of them, doubled each time
	LongestWait time.Duration // a Retry-After above it ends the fetch
	Connect     time.Duration // TCP, and again TLS
	Header      time.Duration // from request to response header
	Stall       time.Duration // one read of a body
}

func (t Tuning) orDefault() Tuning {
	def := func(p *time.Duration, d time.Duration) {
		if *p <= 0 {
			*p = d
		}
	}
	if t.Retries <= 0 {
		t.Retries = 5
	}
	def(&t.Backoff, 500*time.Millisecond)
	def(&t.LongestWait, time.Minute)
	def(&t.Connect, 15*time.Second)
	def(&t.Header, 30*time.Second)
	def(&t.Stall, 30*time.Second)
	return t
}

// Client talks to one repository. It may be used by several goroutines, once a first Manifest has returned.
type Client struct {
	ref    reference.Docker
	opts   Options
	tuning Tuning
	http   *http.Client

	mu        sync.Mutex // guards what a login finds out
	authValue string     // the Authorization header for the registry, "" for none
	authUsed  bool       // a credential took part in it
	withheld  string     // why a credential that is known was not used

	scheme    atomic.Value // string: "https", or "http" once found out and allowed
	contacted atomic.Bool  // the registry has answered something
}

// New makes a client; it does not connect.
func New(ref reference.Docker, o Options) *Client {
	c := &Client{ref: ref, opts: o, tuning: o.Tuning.orDefault()}
	c.scheme.Store("https")
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: c.tuning.Connect}).DialContext,
			TLSHandshakeTimeout:    c.tuning.Connect,
			ResponseHeaderTimeout:  c.tuning.Header,
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, InsecureSkipVerify: o.InsecureTLS, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // blobs are compared byte by byte
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        30 * time.Second,
			ReadBufferSize:         64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Close drops the connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) plainHTTP() bool { return c.scheme.Load() == "http" }

// url is below the repository, as the registry serves it: kind is "manifests" or "blobs".
func (c *Client) url(kind, what string) *url.URL {
	return &url.URL{
		Scheme: c.scheme.Load().(string),
		Host:   c.ref.APIHost(),
		Path:   "/v2/" + c.ref.Repository + "/" + kind + "/" + what,
	}
}

// credential finds the one for host, which is a registry's name in references or any host[:port].
func (c *Client) credential(host string) *Credential {
	for i := range c.opts.Credentials {
		cr := &c.opts.Credentials[i]
		if strings.EqualFold(cr.Host, host) && (cr.Token != "" || cr.Username != "" || cr.Password != "") {
			return cr
		}
	}
	return nil
}

// get asks the registry, logs in when it wants that, and returns a response of status 200 or 206. Any other
// outcome is an error; *temporary when another try may help. The caller closes the body.
func (c *Client) get(ctx context.Context, kind, what string, h http.Header) (*http.Response, error) {
	used := c.authorization()
	resp, strayed, err := c.followFirst(ctx, kind, what, h, used)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusUnauthorized && !strayed {
		challenges := parseChallenges(resp.Header.Values("WWW-Authenticate"))
		c.contacted.Store(true)
		if len(challenges) > 0 {
			drain(resp)
			again, err := c.login(ctx, used, challenges)
			if err != nil {
				return nil, err
			}
			if !again {
				return nil, c.unauthorized("")
			}
			if resp, strayed, err = c.follow(ctx, c.url(kind, what), h, c.authorization()); err != nil {
				return nil, err
			}
		}
	}
	c.contacted.Store(true)
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent:
		return resp, nil
	}
	defer drain(resp)
	return nil, c.refusal(resp, kind, what, strayed)
}

// followFirst is follow, which on first contact also finds out whether the registry speaks plain http.
func (c *Client) followFirst(ctx context.Context, kind, what string, h http.Header, auth string) (*http.Response, bool, error) {
	resp, strayed, err := c.follow(ctx, c.url(kind, what), h, auth)
	if err == nil || c.contacted.Load() || ctx.Err() != nil || !c.opts.AllowHTTP || c.plainHTTP() || isCertificate(err) {
		return resp, strayed, err
	}
	plain := c.url(kind, what)
	plain.Scheme = "http"
	resp, strayed, httpErr := c.follow(ctx, plain, h, "") // never a credential
	if httpErr != nil {
		return nil, false, err // the first error is about what should have worked
	}
	c.scheme.Store("http")
	return resp, strayed, nil
}
