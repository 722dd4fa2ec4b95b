package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/rkt/rkt/v2/core/internal/linux"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/store"
)

// guarded asks a plugin that writes as much as a stranger sends. When the disk's reserve is reached the plugin is killed;
// the caller removes the staging directory.
func (e *Engine) guarded(ctx context.Context, staging *store.Staging, entry *plugin.Entry, o plugin.Options, ask func(context.Context, *plugin.Process) error) error {
	if err := e.makeRoom(staging, entry); err != nil {
		return err
	}
	guarded, stop := staging.Guard(ctx)
	defer stop()
	err := e.askGuarded(guarded, entry, o, ask)
	if err == nil || ctx.Err() != nil {
		return err
	}
	// Or it has seen the disk's end by itself, before the guard did.
	var full *store.FullError
	if errors.As(context.Cause(guarded), &full) || errors.As(staging.Room(), &full) {
		_ = e.makeRoom(staging, entry)
		return fmt.Errorf("plugin %s was stopped: %w", entry.Name, full)
	}
	return err
}

func (e *Engine) askGuarded(ctx context.Context, entry *plugin.Entry, o plugin.Options, ask func(context.Context, *plugin.Process) error) error {
	p, err := e.launch(ctx, entry, o)
	if err != nil {
		return err
	}
	defer p.Close()
	err = ask(ctx, p)
	if errors.As(context.Cause(ctx), new(*store.FullError)) { // a second of grace is gigabytes
		return errors.Join(err, p.Kill())
	}
	return err
}

// makeRoom says whether there is room to fetch into. The plugin's cache, which nobody else removes and which it may have
// filled itself, goes first.
func (e *Engine) makeRoom(staging *store.Staging, entry *plugin.Entry) error {
	if staging.Room() == nil {
		return nil
	}
	if err := linux.RemoveAll(filepath.Join(e.Config.Dir, "cache", entry.Name)); err != nil {
		e.Observer.warn("remove cache of plugin %s: %v", entry.Name, err)
	}
	return staging.Room()
}
