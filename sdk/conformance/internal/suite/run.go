package suite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/report"
)

// maxManifest bounds plugin.json, as core does.
const maxManifest = 256 << 10

// ReadManifest reads plugin.json.
func ReadManifest(dir string) (*manifest.Manifest, error) {
	path := filepath.Join(dir, manifest.FileName)
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxManifest {
		return nil, fmt.Errorf("read %s: not a regular file of at most %d bytes", path, maxManifest)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return manifest.Parse(b)
}

// Run runs those of checks that o chooses, in order. An error means that nothing could be run.
func Run(ctx context.Context, p Plugin, checks []Check, o Options) (*report.Report, error) {
	dir, err := filepath.Abs(p.Dir)
	if err != nil {
		return nil, err
	}
	if err := built(dir); err != nil {
		return nil, fmt.Errorf("test plugin %s: %w", p.Dir, err)
	}
	given := p.Dir
	p.Dir = dir
	if p.MaxRSS == 0 {
		p.MaxRSS = 64 << 20
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Large == 0 {
		o.Large = 192 << 20
	}
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	r := &report.Report{Schema: report.Schema, Plugin: filepath.Base(dir), Dir: dir, Level: o.Level.String(), Seed: o.Seed}
	m, merr := ReadManifest(dir)
	if merr == nil {
		r.Plugin, r.Version = m.Name, m.Version
	}
	if o.Level >= Lifecycle && o.App == "" && m != nil && m.Provision(manifest.ServiceStage1) != nil {
		return nil, errors.New("pods of level lifecycle need the kit's program in them: Options.App")
	}
	chosen, err := choose(checks, o, m, merr)
	if err != nil {
		return nil, err
	}
	if err := process.Seal(); err != nil {
		return nil, err
	}
	base, err := os.MkdirTemp("", "rkt-conformance-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(base)
	if err := os.Chmod(base, 0o711); err != nil { // a plugin that runs as another user passes through
		return nil, err
	}
	s := run{plugin: p, manifest: m, manifestErr: merr, options: o, base: base}
	runs := func(c *Check) bool { return c.Level > Static }
	if m != nil && len(p.Config) > 0 && slices.ContainsFunc(chosen, runs) {
		if err := s.configured(ctx); err != nil {
			return nil, fmt.Errorf("test plugin %s: %w", given, err)
		}
	}
	for _, c := range chosen {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		res := s.check(ctx, c)
		o.Log("%s", res.Line())
		r.Results = append(r.Results, res)
	}
	return r, nil
}

type run struct {
	plugin      Plugin
	manifest    *manifest.Manifest
	manifestErr error
	options     Options
	base        string
}

func (s *run) check(ctx context.Context, c *Check) report.Result {
	res := report.Result{ID: c.ID, Title: c.Title, Level: c.Level.String(), Outcome: report.Pass}
	start := time.Now()
	err := s.try(ctx, c)
	res.Took = time.Since(start)
	if why, ok := skipped(err); ok {
		res.Outcome, res.Reason = report.Skip, why
	} else if err != nil {
		res.Outcome, res.Reason = report.Fail, oneLine(err.Error())+s.unconfigured(err)
	}
	return res
}

func (s *run) try(ctx context.Context, c *Check) (err error) {
	if s.manifest == nil && c.Level > Static {
		return fmt.Errorf("the plugin cannot be run: %w", s.manifestErr)
	}
	limit := c.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	if s.options.Impatient {
		limit /= 10
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("given up after %v", limit))
	defer cancel()
	p := s.plugin
	e := &Env{
		Plugin: &p, Manifest: s.manifest, Service: c.Service, Options: s.options,
		// One generator a check: the moments of one do not depend on which others are run.
		Rand: rand.New(rand.NewPCG(s.options.Seed, hash(c.ID))),
	}
	if c.Capability != "" && !e.Claims(c.Service, c.Capability) {
		return Skip("the plugin does not claim the capability %q", c.Capability)
	}
	if e.scratch, err = os.MkdirTemp(s.base, ""); err != nil {
		return err
	}
	if err := os.Chmod(e.scratch, 0o711); err != nil {
		return err
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the kit panicked, which is its bug: %v", v)
		}
		if eerr := e.end(); err == nil && eerr != nil {
			err = eerr
		}
		if errors.Is(err, context.DeadlineExceeded) && context.Cause(ctx) != nil {
			err = fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
	}()
	return c.Run(ctx, e)
}

// hash is FNV-1a.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range []byte(s) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

func oneLine(s string) string {
	const most = 600
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > most {
		s = s[:most] + " ..."
	}
	return s
}
