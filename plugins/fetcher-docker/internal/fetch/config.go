package fetch

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/registry"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// config is <local-config>/plugins/fetcher-docker.json. README.md explains the keys.
type config struct {
	ParallelDownloads int                 `json:"parallel_downloads"`
	Retries           int                 `json:"retries"`
	ConnectTimeout    duration            `json:"connect_timeout"`
	HeaderTimeout     duration            `json:"header_timeout"`
	StallTimeout      duration            `json:"stall_timeout"`
	TokenHosts        map[string][]string `json:"token_hosts"` // registry -> hosts of its token service

	tune registry.Tuning // what tests set; zero
}

// duration is written as in Go: "30s".
type duration time.Duration

func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = duration(v)
	return err
}

const (
	defaultParallel = 3
	mostParallel    = 16
)

// Configure takes the admin's file. A key that is not known is an error: it may be a typing error in the name of
// a host that gets credentials.
func (f *Fetcher) Configure(_ context.Context, c plugin.Config) ([]plugin.Diagnostic, error) {
	if len(c.JSON) == 0 {
		return nil, nil
	}
	var cfg config
	dec := json.NewDecoder(bytes.NewReader(c.JSON))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&cfg); err != nil {
		return nil, plugin.ConfigInvalid("parse configuration of fetcher-docker: %w", err)
	}
	for _, v := range []struct {
		key    string
		value  int
		lowest int
		most   int
	}{{"parallel_downloads", cfg.ParallelDownloads, 0, mostParallel}, {"retries", cfg.Retries, 0, 100}} {
		if v.value < v.lowest || v.value > v.most {
			return nil, plugin.ConfigInvalid("parse configuration of fetcher-docker: %s is %d, wanted is 1 to %d", v.key, v.value, v.most)
		}
	}
	for key, v := range map[string]duration{
		"connect_timeout": cfg.ConnectTimeout, "header_timeout": cfg.HeaderTimeout, "stall_timeout": cfg.StallTimeout,
	} {
		if v < 0 {
			return nil, plugin.ConfigInvalid("parse configuration of fetcher-docker: %s is negative", key)
		}
	}
	for reg, hosts := range cfg.TokenHosts {
		for i, h := range hosts {
			if h == "" || strings.ContainsAny(h, "/ *") {
				return nil, plugin.ConfigInvalid("parse configuration of fetcher-docker: token_hosts of %q: %q is no host[:port]", reg, h)
			}
			hosts[i] = strings.ToLower(h)
		}
	}
	f.config = cfg
	return nil, nil
}

func (c config) parallel() int {
	if c.ParallelDownloads > 0 {
		return c.ParallelDownloads
	}
	return defaultParallel
}

func (c config) tuning() registry.Tuning {
	t := c.tune
	t.Retries = cmp.Or(c.Retries, t.Retries)
	t.Connect = cmp.Or(time.Duration(c.ConnectTimeout), t.Connect)
	t.Header = cmp.Or(time.Duration(c.HeaderTimeout), t.Header)
	t.Stall = cmp.Or(time.Duration(c.StallTimeout), t.Stall)
	return t
}
