package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// The login, as the distribution spec has it:
//
//	GET manifest ────────────────> registry
//	401 WWW-Authenticate: Bearer realm=R,service=S,scope=X
//	GET R?service=S&scope=X ─────> token service   (Basic, when it may see the credential)
//	{"token": T}
//	GET manifest, Bearer T ──────> registry

// maxToken bounds a token service's answer.
const maxToken = 1 << 20

// wellKnownTokenHosts are services of registries that keep the login on a host of its own.
func wellKnownTokenHost(registry string) string {
	switch registry {
	case "docker.io":
		return "auth.docker.io"
	case "registry.gitlab.com":
		return "gitlab.com"
	}
	return ""
}

func (c *Client) authorization() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.authValue
}

// login answers the challenges to a request that carried used. It says whether another try makes sense. Only one
// goroutine logs in at a time; the others find its result.
func (c *Client) login(ctx context.Context, used string, challenges []challenge) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.authValue != used {
		return true, nil // somebody else was faster
	}
	cred := c.credential(c.ref.Registry)
	if cred != nil && c.plainHTTP() {
		c.withheld = "the credential for " + c.ref.Registry + " is not sent over plain http"
		cred = nil
	}
	for _, ch := range challenges {
		if ch.scheme != "bearer" || ch.params["realm"] == "" {
			continue
		}
		if cred != nil && cred.Token != "" {
			return c.setAuth("Bearer "+cred.Token, true), nil
		}
		token, usedCred, err := c.token(ctx, ch, cred)
		if err != nil {
			return false, err
		}
		return c.setAuth("Bearer "+token, usedCred), nil
	}
	for _, ch := range challenges {
		if ch.scheme == "basic" {
			switch {
			case cred == nil:
				return false, nil
			case cred.Token != "":
				return c.setAuth("Bearer "+cred.Token, true), nil
			}
			return c.setAuth(basic(cred), true), nil
		}
	}
	return false, plugin.Errorf(reason.AuthRequired, "log in to %s: it asks for %s, known are Bearer and Basic",
		c.ref.Registry, fault.Quote(challenges[0].scheme))
}

// setAuth reports whether the value is another than the one that was just refused.
func (c *Client) setAuth(value string, used bool) bool {
	changed := value != c.authValue
	c.authValue, c.authUsed = value, used
	return changed
}

func basic(cr *Credential) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(cr.Username+":"+cr.Password))
}

// token asks the token service that the challenge names.
func (c *Client) token(ctx context.Context, ch challenge, cred *Credential) (token string, usedCred bool, err error) {
	realm, err := url.Parse(ch.params["realm"])
	if err != nil || realm.Host == "" || (realm.Scheme != "https" && realm.Scheme != "http") {
		return "", false, plugin.Errorf(reason.AuthRequired, "log in to %s: its token service %s is no address", c.ref.Registry, fault.Quote(ch.params["realm"]))
	}
	realm.User, realm.Fragment = nil, ""
	registryHost := (&url.URL{Host: c.ref.APIHost()}).Hostname()
	if realm.Scheme == "http" && !(c.opts.AllowHTTP && strings.EqualFold(realm.Hostname(), registryHost)) {
		return "", false, plugin.Errorf(reason.InsecureRefused, "log in to %s: its token service %s is plain http", c.ref.Registry, fault.Quote(realm.Host))
	}
	auth := ""
	if own := c.credential(realm.Host); own != nil && cred == nil && !c.plainHTTP() {
		cred = own // given for the token service itself
	}
	switch {
	case cred == nil:
	case realm.Scheme != "https":
		c.withheld = "the credential for " + c.ref.Registry + " is not sent to its token service over plain http"
	case !c.mayLogIn(realm, cred):
		c.withheld = "the credential for " + c.ref.Registry + " is not sent to its token service at the foreign host " + fault.Quote(realm.Host) +
			"; allow that with token_hosts in the plugin's configuration"
	case cred.Token != "":
		auth = "Bearer " + cred.Token
	default:
		auth = basic(cred)
	}
	q := realm.Query()
	q.Set("client_id", "rkt")
	if s := ch.params["service"]; s != "" {
		q.Set("service", s)
	}
	own := "repository:" + c.ref.Repository + ":pull"
	q["scope"] = []string{own}
	if s := ch.params["scope"]; s != "" && s != own {
		q.Add("scope", s)
	}
	realm.RawQuery = q.Encode()

	ctx, cancel := context.WithTimeout(ctx, c.tuning.Header)
	defer cancel()
	resp, _, err := c.follow(ctx, realm, http.Header{"Accept": {"application/json"}}, auth)
	if err != nil {
		return "", false, err
	}
	defer drain(resp)
	if resp.StatusCode != http.StatusOK {
		return "", false, c.tokenRefusal(resp, realm.Host, auth != "")
	}
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxToken))
	if err == nil {
		err = json.Unmarshal(b, &answer)
	}
	token = answer.Token
	if token == "" {
		token = answer.AccessToken
	}
	if err != nil || token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", false, plugin.Errorf(reason.AuthRequired, "log in to %s: its token service %s gives no token", c.ref.Registry, fault.Quote(realm.Host))
	}
	return token, auth != "", nil
}

// mayLogIn says whether the token service may see the credential: it is the registry's host itself (its own port,
// or the https port, which only its admin can serve), the well-known one, or one that the admin of this host named.
func (c *Client) mayLogIn(realm *url.URL, cred *Credential) bool {
	api := &url.URL{Scheme: "https", Host: c.ref.APIHost()}
	if strings.EqualFold(realm.Hostname(), api.Hostname()) && (port(realm) == port(api) || port(realm) == "443") {
		return true
	}
	host := strings.ToLower(realm.Host)
	return strings.EqualFold(cred.Host, host) || host == wellKnownTokenHost(c.ref.Registry) || slices.Contains(c.opts.TokenHosts, host)
}
