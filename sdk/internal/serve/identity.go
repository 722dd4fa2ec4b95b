package serve

import (
	"context"

	"github.com/rkt/rkt/v2/proto/manifest"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// identity is PluginService: Describe from the same manifest that the subcommand prints, so they cannot differ.
type identity struct {
	pluginv1.UnimplementedPluginServiceServer
	plugin Plugin
}

func (s *identity) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	m := s.plugin.Manifest
	resp := &pluginv1.DescribeResponse{Name: m.Name, Version: m.Version, Vendor: m.Vendor}
	for _, p := range m.Provides {
		resp.Provides = append(resp.Provides, provision(p))
	}
	return resp, nil
}

func provision(p manifest.Provision) *pluginv1.Provision {
	return &pluginv1.Provision{
		Service: p.Service, Protocols: p.Protocols, Flavor: p.Flavor, Schemes: p.Schemes,
		MediaTypes: p.MediaTypes, Types: p.Types, Capabilities: p.Capabilities,
	}
}

func (s *identity) Configure(ctx context.Context, req *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	c, ok := s.plugin.Impl.(plugin.Configurer)
	if !ok {
		if len(req.GetConfig()) > 0 {
			return nil, plugin.ConfigInvalid("%s has no configuration", s.plugin.Manifest.Name)
		}
		return &pluginv1.ConfigureResponse{}, nil
	}
	ds, err := c.Configure(ctx, plugin.Config{
		JSON: req.GetConfig(), CoreVersion: req.GetCoreVersion(),
		CoreCapabilities: req.GetCoreCapabilities(), CacheDir: req.GetCacheDir(), Path: req.GetConfigPath(),
	})
	if err != nil {
		return nil, err
	}
	return &pluginv1.ConfigureResponse{Diagnostics: Diagnostics(ds)}, nil
}

func (s *identity) Probe(ctx context.Context, _ *pluginv1.ProbeRequest) (*pluginv1.ProbeResponse, error) {
	p, ok := s.plugin.Impl.(plugin.Prober)
	if !ok {
		return &pluginv1.ProbeResponse{}, nil
	}
	fs, err := p.Probe(ctx)
	if err != nil {
		return nil, err
	}
	resp := &pluginv1.ProbeResponse{}
	for _, f := range fs {
		resp.Findings = append(resp.Findings, &pluginv1.Finding{
			Id: f.ID, Ok: f.OK, Required: f.Required, Summary: f.Summary, Remedy: f.Remedy,
		})
	}
	return resp, nil
}

// Diagnostics puts remarks on the wire.
func Diagnostics(ds []plugin.Diagnostic) []*pluginv1.Diagnostic {
	var out []*pluginv1.Diagnostic
	for _, d := range ds {
		out = append(out, &pluginv1.Diagnostic{
			Severity: pluginv1.Diagnostic_Severity(d.Severity), Summary: d.Summary, Detail: d.Detail, Field: d.Field,
		})
	}
	return out
}

// Requires is the manifest's form, nil when nothing is required.
func Requires(r plugin.Requires) *manifest.Requires {
	if len(r.Devices) == 0 && len(r.Binaries) == 0 {
		return nil
	}
	return &manifest.Requires{Devices: r.Devices, Binaries: r.Binaries}
}
