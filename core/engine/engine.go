package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rkt/rkt/v2/core/config"
	"github.com/rkt/rkt/v2/core/failure"
	"github.com/rkt/rkt/v2/core/lock"
	"github.com/rkt/rkt/v2/core/pin"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/core/store"
	"github.com/rkt/rkt/v2/core/trust"
	"github.com/rkt/rkt/v2/proto/reason"
)

// Engine is one data directory with one configuration.
type Engine struct {
	Config   config.Config
	Pods     *pod.Pods
	Observer Observer
	Version  string // rkt's own, told to plugins

	exe     string // this rkt's own executable, for `rkt finish`
	plugins func() *plugin.Set
	store   func() (*store.Store, error)
	pins    func() *pin.Pins
	lock    func() (*lock.File, error)
}

// Observer is told what happens meanwhile. Any field may be nil.
type Observer struct {
	// Progress is one item's (a blob's) way: done and total in bytes, total 0 when unknown.
	Progress func(phase, item string, done, total int64)
	// Warn is for what the user should know and what does not stop the verb.
	Warn func(msg string)
	// Review asks whether keys that a server offers may be trusted for images below prefix. Nil: nobody is there to ask.
	Review func(prefix string, keys []trust.Info) (bool, error)
	// Log gets the plugins' log lines.
	Log *slog.Logger
}

func (o Observer) warn(format string, args ...any) {
	if o.Warn != nil {
		o.Warn(fmt.Sprintf(format, args...))
	}
}

func (o Observer) progress(phase, item string, done, total int64) {
	if o.Progress != nil {
		o.Progress(phase, item, done, total)
	}
}

// New opens nothing yet: list and status must cost nothing that they do not use.
func New(c config.Config, o Observer) (*Engine, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find rkt's own executable: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	extra := c.PluginPath
	if os.Geteuid() == 0 && !c.Insecure.Plugin && len(extra) > 0 {
		return nil, errors.New("a plugin path given by flag or RKT_PLUGIN_PATH counts for root only with --insecure-options=plugin (install plugins below /usr/lib/rkt/plugins or /etc/rkt/plugins.d)")
	}
	return &Engine{
		Config:   c,
		Pods:     pod.Open(c.Dir),
		Observer: o,
		exe:      exe,
		plugins: sync.OnceValue(func() *plugin.Set {
			return plugin.Discover(plugin.SearchPath(exe, extra, os.Geteuid()))
		}),
		store: sync.OnceValues(func() (*store.Store, error) { return store.Open(c.Dir) }),
		pins: sync.OnceValue(func() *pin.Pins {
			p := pin.Open(filepath.Join(c.Dir, "pins"))
			p.Insecure = c.Insecure.Plugin
			return p
		}),
		lock: sync.OnceValues(func() (*lock.File, error) { return lock.Read(c.LocalConfig) }),
	}, nil
}

// Plugins is what discovery found.
func (e *Engine) Plugins() *plugin.Set { return e.plugins() }

// launch starts a plugin for one verb, with its own configuration and the engine's log.
func (e *Engine) launch(ctx context.Context, entry *plugin.Entry, o plugin.Options) (*plugin.Process, error) {
	entry, err := e.admitted(entry)
	if err != nil {
		return nil, err
	}
	if o.Config, err = e.settings(entry.Name); err != nil {
		return nil, err
	}
	o.ConfigHint = e.settingsHint(entry, o.Config)
	return e.run(ctx, entry, o)
}

// run starts the plugin of the entry itself with the configuration in o.
func (e *Engine) run(ctx context.Context, entry *plugin.Entry, o plugin.Options) (*plugin.Process, error) {
	var err error
	o.Logger = e.Observer.Log
	o.Debug = e.Config.Debug
	o.Insecure = e.Config.Insecure.Plugin
	o.Grease = e.Config.Grease
	o.ConfigPath = e.settingsFile(entry.Name)
	o.CoreVersion = e.Version
	o.Failed = e.keepFailure(entry)
	o.Waiting = func(err error, wait time.Duration) {
		e.Observer.warn("%v; trying again in %v", err, wait.Round(time.Second))
	}
	if o.CacheDir, err = e.cacheDir(entry, o.Kind); err != nil {
		return nil, err
	}
	return plugin.Launch(ctx, entry, o)
}

// Failures are the last ones of each plugin.
func (e *Engine) Failures() *failure.Log {
	return failure.Open(filepath.Join(e.Config.Dir, "failures"))
}

// keepFailure writes down what a plugin did wrong. That it cannot be written is no reason to hide what was.
func (e *Engine) keepFailure(entry *plugin.Entry) func(*plugin.Error, []string) string {
	return func(err *plugin.Error, log []string) string {
		path, werr := e.Failures().Write(failure.Record{
			Plugin: entry.Name, Version: entry.Manifest.Version, Directory: entry.Dir, Time: time.Now().UTC(),
			Verb: err.Verb, Reason: string(err.Reason), Message: err.Message, Log: log,
		})
		if werr != nil {
			e.Observer.warn("plugin %s: %v", entry.Name, werr)
		}
		return path
	}
}

// cacheDir is a plugin's own: what it keeps there may vanish at any time, and no other plugin can write it.
func (e *Engine) cacheDir(entry *plugin.Entry, kind plugin.Kind) (string, error) {
	dir := filepath.Join(e.Config.Dir, "cache", entry.Name)
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(dir), 0o711); err == nil {
			err = os.Mkdir(dir, 0o700)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make cache of plugin %s: %w", entry.Name, err)
	}
	uid, gid, err := plugin.Owner(kind, os.Geteuid(), os.Getegid())
	if err != nil {
		return "", err
	}
	// Each time: who made it may have been killed before this.
	if err := os.Lchown(dir, uid, gid); err != nil {
		return "", fmt.Errorf("make cache of plugin %s: %w", entry.Name, err)
	}
	return dir, nil
}

// Plugin finds the plugin that counts for a name. When none does, a broken one or a mask is found, to be shown.
func (e *Engine) Plugin(name string) (*plugin.Entry, error) {
	var found *plugin.Entry
	for _, entry := range e.Plugins().Entries() {
		if entry.Name == name && entry.ShadowedBy == "" && (found == nil || found.Err != nil) {
			found = &entry
		}
	}
	if found != nil {
		return found, nil
	}
	return nil, &plugin.Error{Reason: reason.PluginMissing, Message: fmt.Sprintf(
		"no plugin is called %q: looked in %s (pods may still hold copies of one that was removed: rkt plugin in-use)", name, strings.Join(e.Plugins().Dirs(), ", "))}
}
