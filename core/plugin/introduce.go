package plugin

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/proto/reason"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
)

// introduce asks the plugin who it is, insists that it is what the admin installed, and configures it. Both calls
// are on their way at once: a plugin that is not what its plugin.json says is refused whatever it makes of its
// configuration, and its files were root's to begin with.
func (p *Process) introduce(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, o.DescribeTimeout)
	defer cancel()
	configured := make(chan error, 1)
	go func() { configured <- p.configure(ctx, o) }()
	if err := p.describe(ctx); err != nil {
		cancel()
		<-configured
		return err
	}
	return <-configured
}

func (p *Process) describe(ctx context.Context) error {
	d, err := p.Plugin().Describe(ctx, &pluginv1.DescribeRequest{})
	if err != nil {
		return p.startRPC("describe", err)
	}
	if diff := differ(p.entry.Manifest, d); diff != "" {
		return refuse(p.entry, "it is not what its %s says: %s (install its package anew; its author makes the file with %s manifest DIR)",
			manifest.FileName, diff, p.entry.Manifest.Exec)
	}
	return nil
}

func (p *Process) configure(ctx context.Context, o Options) error {
	if len(o.Config) == 0 && o.CacheDir == "" {
		return nil
	}
	resp, err := p.Plugin().Configure(ctx, &pluginv1.ConfigureRequest{
		Config: o.Config, CoreVersion: o.CoreVersion, CoreCapabilities: o.CoreCapabilities, CacheDir: o.CacheDir,
		ConfigPath: o.ConfigPath,
	})
	if err != nil {
		err := p.startRPC("configure", err)
		var perr *Error
		if errors.As(err, &perr) && perr.Reason == reason.ConfigInvalid {
			return p.misconfigured(strings.TrimPrefix(perr.Message, "configure: "), o)
		}
		return err
	}
	var bad []string
	for _, diag := range resp.GetDiagnostics() {
		text := printable(diag.GetSummary())
		if f := diag.GetField(); f != "" {
			text = printable(f) + ": " + text
		}
		if diag.GetSeverity() == pluginv1.Diagnostic_SEVERITY_ERROR {
			bad = append(bad, text)
		} else {
			p.log.log.Warn("configuration of plugin", "remark", text)
		}
	}
	if len(bad) > 0 {
		return p.misconfigured(strings.Join(bad, "; "), o)
	}
	return nil
}

// misconfigured is what a plugin has against its configuration, with the file that it is about.
func (p *Process) misconfigured(what string, o Options) error {
	if o.ConfigHint != "" {
		what += " (" + o.ConfigHint + ")"
	}
	err := about(p.entry, reason.ConfigInvalid, "%s", what)
	err.Verb = "configure plugin"
	return err
}

// startRPC is Error for the RPCs of the start. An error of our own dialer arrives as text.
func (p *Process) startRPC(what string, err error) error {
	if strings.Contains(err.Error(), errPeer.Error()) {
		return refuse(p.entry, "%s", printable(err.Error()))
	}
	e := p.explain("start plugin", err)
	e.Message = what + ": " + e.Message
	return e
}

// differ compares plugin.json with Describe, field by field, and shows both values of the first that differs.
func differ(m *manifest.Manifest, d *pluginv1.DescribeResponse) string {
	show := func(what, file, said string) string {
		return fmt.Sprintf("%s is %s there, the plugin says %s", what, quote(file), quote(said))
	}
	switch {
	case m.Name != d.GetName():
		return show("name", m.Name, d.GetName())
	case m.Version != d.GetVersion():
		return show("version", m.Version, d.GetVersion())
	case m.Vendor != d.GetVendor():
		return show("vendor", m.Vendor, d.GetVendor())
	}
	said := map[string]manifest.Provision{}
	for _, p := range d.GetProvides() {
		said[p.GetService()] = manifest.Provision{
			Service: p.GetService(), Protocols: p.GetProtocols(), Flavor: p.GetFlavor(), Schemes: p.GetSchemes(),
			MediaTypes: p.GetMediaTypes(), Types: p.GetTypes(), Capabilities: p.GetCapabilities(),
		}
	}
	for _, p := range m.Provides {
		q, ok := said[p.Service]
		if !ok {
			return fmt.Sprintf("it provides %s there, the plugin says it does not", quote(p.Service))
		}
		delete(said, p.Service)
		a, b := sorted(p), sorted(q)
		if !reflect.DeepEqual(a, b) {
			return show(p.Service, fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b))
		}
	}
	for service := range said {
		return fmt.Sprintf("the plugin says it provides %s, which is not there", quote(service))
	}
	return ""
}

// sorted makes two provisions comparable: the order of lists says nothing.
func sorted(p manifest.Provision) manifest.Provision {
	p.Protocols = slices.Sorted(slices.Values(p.Protocols))
	for _, l := range []*[]string{&p.Schemes, &p.MediaTypes, &p.Types, &p.Capabilities} {
		*l = slices.Sorted(slices.Values(*l))
	}
	return p
}
