package protocol

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// session is a busy one: it makes a plugin that logs or keeps something for each call show it.
func session(ctx context.Context, e *suite.Env) (*process.Process, error) {
	p, err := e.Ready(ctx, process.Options{})
	if err != nil {
		return nil, err
	}
	for range 100 {
		if err := alive(ctx, p); err != nil {
			return nil, err
		}
	}
	_ = refuses(ctx, p, notJSON) // PL-CONF-01 judges
	return p, e.Configure(ctx, p.Conn)
}

func levels() []string { return []string{"trace", "debug", "info", "warn", "error"} }

func logLines(ctx context.Context, e *suite.Env) error {
	p, err := session(ctx, e)
	if err != nil {
		return err
	}
	if err := p.Close(); err != nil {
		return err
	}
	text, _, _ := p.Stderr()
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "{") || !strings.HasSuffix(line, "\n") {
			continue // a runtime's own words, or cut off
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			return fmt.Errorf("%q is no JSON object: %w", clip(line), err)
		}
		level, _ := m["@level"].(string)
		if !slices.Contains(levels(), level) {
			return fmt.Errorf("@level of %q is none of %s", clip(line), strings.Join(levels(), ", "))
		}
		for _, key := range []string{"@message", "@timestamp"} {
			if s, ok := m[key].(string); !ok || s == "" {
				return fmt.Errorf("%q has no %s", clip(line), key)
			}
		}
	}
	return nil
}

// Bounds on the log of one life: core shows no more lines than these.
const (
	mostLines = 10_000
	mostBytes = 4 << 20
)

func flood(ctx context.Context, e *suite.Env) error {
	p, err := session(ctx, e)
	if err != nil {
		return err
	}
	if err := p.Close(); err != nil {
		return err
	}
	if _, lines, total := p.Stderr(); lines > mostLines || total > mostBytes {
		return fmt.Errorf("%d lines, %d bytes on stderr for a hundred calls; core shows %d lines of a life", lines, total, mostLines)
	}
	return nil
}

func memory(ctx context.Context, e *suite.Env) error {
	p, err := session(ctx, e)
	if err != nil {
		return err
	}
	if err := ask(ctx, p); err != nil {
		return err
	}
	rss, err := p.PeakRSS()
	if err != nil {
		return err
	}
	if rss > e.Plugin.MaxRSS {
		return fmt.Errorf("%d MiB were resident, the bound is %d MiB", rss>>20, e.Plugin.MaxRSS>>20)
	}
	return nil
}
