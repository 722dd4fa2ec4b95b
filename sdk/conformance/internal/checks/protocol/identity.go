package protocol

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/proto/reason"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

func describe(ctx context.Context, e *suite.Env) error {
	p, err := e.Start(ctx, process.Options{})
	if err != nil {
		return err
	}
	said, err := service(p).Describe(ctx, &pluginv1.DescribeRequest{})
	if err != nil {
		return err
	}
	m := e.Manifest
	for _, f := range []struct{ what, file, said string }{
		{"name", m.Name, said.GetName()}, {"version", m.Version, said.GetVersion()}, {"vendor", m.Vendor, said.GetVendor()},
	} {
		if f.file != f.said {
			return fmt.Errorf("%s is %q in plugin.json, Describe says %q", f.what, f.file, f.said)
		}
	}
	var theirs []manifest.Provision
	for _, q := range said.GetProvides() {
		theirs = append(theirs, sorted(manifest.Provision{
			Service: q.GetService(), Protocols: q.GetProtocols(), Flavor: q.GetFlavor(), Schemes: q.GetSchemes(),
			MediaTypes: q.GetMediaTypes(), Types: q.GetTypes(), Capabilities: q.GetCapabilities(),
		}))
	}
	if len(theirs) != len(m.Provides) {
		return fmt.Errorf("plugin.json has %d services, Describe says %d", len(m.Provides), len(theirs))
	}
	for _, want := range m.Provides {
		i := slices.IndexFunc(theirs, func(q manifest.Provision) bool { return q.Service == want.Service })
		if i < 0 {
			return fmt.Errorf("%s is in plugin.json and not in Describe", want.Service)
		}
		if want = sorted(want); !reflect.DeepEqual(want, theirs[i]) {
			return fmt.Errorf("plugin.json says %+v, Describe says %+v", want, theirs[i])
		}
	}
	return nil
}

// sorted makes provisions comparable: the order of lists says nothing.
func sorted(p manifest.Provision) manifest.Provision {
	p.Protocols = slices.Sorted(slices.Values(p.Protocols))
	for _, l := range []*[]string{&p.Schemes, &p.MediaTypes, &p.Types, &p.Capabilities} {
		*l = slices.Sorted(slices.Values(*l))
	}
	return p
}

func describeAgain(ctx context.Context, e *suite.Env) error {
	p, err := e.Start(ctx, process.Options{})
	if err != nil {
		return err
	}
	said := make([]*pluginv1.DescribeResponse, 8)
	errs := make([]error, len(said)+1)
	var wg sync.WaitGroup
	for i := range said {
		wg.Go(func() { said[i], errs[i] = service(p).Describe(ctx, &pluginv1.DescribeRequest{}) })
	}
	wg.Go(func() { errs[len(said)] = e.Configure(ctx, p.Conn) })
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, s := range said[1:] {
		if !proto.Equal(s, said[0]) {
			return fmt.Errorf("Describe said %v, and %v", said[0], s)
		}
	}
	return nil
}

// notJSON is no configuration of any plugin.
const notJSON = "{\"\x00\": [}"

func garbage(ctx context.Context, e *suite.Env) error {
	p, err := e.Start(ctx, process.Options{})
	if err != nil {
		return err
	}
	for _, text := range []string{notJSON, "[]", "42 42"} {
		if err := refuses(ctx, p, text); err != nil {
			return err
		}
	}
	return alive(ctx, p)
}

func refuses(ctx context.Context, p *process.Process, text string) error {
	resp, err := service(p).Configure(ctx, &pluginv1.ConfigureRequest{Config: []byte(text)})
	if err != nil {
		return answer.Want(err, reason.ConfigInvalid)
	}
	for _, d := range resp.GetDiagnostics() {
		if d.GetSeverity() == pluginv1.Diagnostic_SEVERITY_ERROR {
			if d.GetSummary() == "" {
				return errors.New("an error diagnostic has no summary")
			}
			return nil
		}
	}
	return fmt.Errorf("it took %q for a configuration", text)
}

func lastWins(ctx context.Context, e *suite.Env) error {
	p, err := e.Ready(ctx, process.Options{})
	if err != nil {
		return err
	}
	_ = refuses(ctx, p, notJSON) // PL-CONF-01 judges
	if len(e.Plugin.Config) == 0 {
		if _, err := service(p).Configure(ctx, &pluginv1.ConfigureRequest{}); err != nil {
			return fmt.Errorf("configure without a file, after a bad one: %w", err)
		}
	} else if err := e.Configure(ctx, p.Conn); err != nil {
		return fmt.Errorf("after a bad configuration: %w", err)
	}
	return alive(ctx, p)
}

func cacheGone(ctx context.Context, e *suite.Env) error {
	p, err := e.Start(ctx, process.Options{})
	if err != nil {
		return err
	}
	cache, err := e.Dir()
	if err != nil {
		return err
	}
	req := &pluginv1.ConfigureRequest{Config: e.Plugin.Config, CacheDir: cache}
	if _, err := service(p).Configure(ctx, req); err != nil {
		return fmt.Errorf("configure with a cache directory: %w", err)
	}
	if err := os.RemoveAll(cache); err != nil {
		return err
	}
	if _, err := service(p).Configure(ctx, req); err != nil {
		return fmt.Errorf("configure with a cache directory that is gone: %w", err)
	}
	return alive(ctx, p)
}

// ask calls Probe, which every plugin has.
func ask(ctx context.Context, p *process.Process) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	_, err := service(p).Probe(ctx, &pluginv1.ProbeRequest{})
	return err
}

func probe(ctx context.Context, e *suite.Env) error {
	p, err := e.Ready(ctx, process.Options{})
	if err != nil {
		return err
	}
	resp, err := service(p).Probe(ctx, &pluginv1.ProbeRequest{})
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, f := range resp.GetFindings() {
		switch {
		case f.GetId() == "":
			return fmt.Errorf("a finding has no id: %q", f.GetSummary())
		case seen[f.GetId()]:
			return fmt.Errorf("two findings have the id %q", f.GetId())
		case f.GetSummary() == "":
			return fmt.Errorf("finding %q has no summary", f.GetId())
		case !f.GetOk() && f.GetRemedy() == "":
			return fmt.Errorf("finding %q is not ok and names no remedy", f.GetId())
		}
		seen[f.GetId()] = true
	}
	return nil
}

func probeAgain(ctx context.Context, e *suite.Env) error {
	var first []string
	for range 2 {
		p, err := e.Ready(ctx, process.Options{})
		if err != nil {
			return err
		}
		resp, err := service(p).Probe(ctx, &pluginv1.ProbeRequest{})
		if err != nil {
			return err
		}
		var now []string
		for _, f := range resp.GetFindings() {
			now = append(now, fmt.Sprintf("%s ok=%v required=%v", f.GetId(), f.GetOk(), f.GetRequired()))
		}
		slices.Sort(now)
		if first != nil && !slices.Equal(first, now) {
			return fmt.Errorf("first %q, then %q", first, now)
		}
		if first = now; first == nil {
			first = []string{}
		}
	}
	return nil
}
