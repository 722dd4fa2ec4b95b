package engine

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/core/lock"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/reason"
)

// admit refuses a plugin whose bytes are not those that plugins.lock names. digest is that of its files, which who
// asks has at hand: nothing is hashed here unless there is something to refuse.
//
// It is asked for every plugin that is to begin something: a pod, a fetch, a verification. The copy of a pod that
// runs is not asked about: that pod must be entered, stopped and collected by the very plugin that started it.
func (e *Engine) admit(entry *plugin.Entry, digest string) error {
	f, err := e.lock()
	if err != nil {
		return err
	}
	want, locked := f.Plugins[entry.Name]
	if !locked || want.Digest == digest {
		return nil
	}
	what := ""
	if sums, _, err := e.pins().Sums(entry); err == nil {
		what = "; what differs: " + strings.Join(want.Differing(sums), ", ")
	}
	return &plugin.Error{
		Verb: "start plugin", Plugin: entry.Name, Version: entry.Manifest.Version, Reason: reason.PluginRefused,
		Message: fmt.Sprintf("it is not the one that is pinned: %s pins %s (%s), %s is %s (%s)%s; when you have checked it: rkt plugin pin %s",
			filepath.Join(e.Config.LocalConfig, lock.FileName), version(want.Version), short(want.Digest),
			entry.Dir, version(entry.Manifest.Version), short(digest), what, entry.Name),
	}
}

// short is what of a digest tells it from others; rkt plugin inspect shows the whole.
func short(digest string) string { return digest[:min(12, len(digest))] }

func version(v string) string {
	if v == "" {
		return "a version that is not named"
	}
	return fmt.Sprintf("version %q", v)
}

// admitted is what is launched of an installed plugin: itself, or when plugins.lock has its name, the copy whose
// bytes are known. Making sure of the bytes of a file that stays where it is would mean to read it each time.
func (e *Engine) admitted(entry *plugin.Entry) (*plugin.Entry, error) {
	if entry.Pinned() {
		return entry, nil
	}
	f, err := e.lock()
	if err != nil {
		return nil, err
	}
	if _, locked := f.Plugins[entry.Name]; !locked || entry.Err != nil {
		return entry, nil
	}
	copied, _, err := e.copied(entry)
	return copied, err
}

// PinPlugins binds the plugins' names to the bytes that they have now, and says what they were, in the order of the
// names. When one cannot be pinned none is.
func (e *Engine) PinPlugins(ctx context.Context, names []string) ([]lock.Pin, error) {
	var pins []lock.Pin
	for _, name := range names {
		p, err := e.pinOf(name)
		if err != nil {
			return nil, err
		}
		pins = append(pins, p)
	}
	err := lock.Change(ctx, e.Config.LocalConfig, func(f *lock.File) (bool, error) {
		for i, name := range names {
			f.Plugins[name] = pins[i]
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return pins, nil
}

// pinOf is what a plugin would be bound to.
func (e *Engine) pinOf(name string) (lock.Pin, error) {
	entry, err := e.effective(name)
	if err != nil {
		return lock.Pin{}, err
	}
	if err := e.Trust(entry); err != nil {
		return lock.Pin{}, err
	}
	// The sums are taken of the copy, which nobody can change.
	digest, err := e.pins().Pin(entry)
	if err != nil {
		return lock.Pin{}, err
	}
	copied, err := e.pins().Entry(digest)
	if err != nil {
		return lock.Pin{}, err
	}
	sums, found, err := e.pins().Sums(copied)
	if err != nil {
		return lock.Pin{}, err
	}
	if found != digest {
		return lock.Pin{}, fmt.Errorf("pin plugin %s: its copy %s has changed on disk (digest %s): remove that directory", name, copied.Dir, found)
	}
	return lock.Pin{
		Digest: digest, Files: sums, Version: entry.Manifest.Version, Directory: entry.Dir, Time: time.Now().UTC().Round(time.Second),
	}, nil
}

// UnpinPlugins gives names free, and says what they were bound to. They need not be installed any more. When one is not
// bound none is given free.
func (e *Engine) UnpinPlugins(ctx context.Context, names []string) ([]lock.Pin, error) {
	var were []lock.Pin
	err := lock.Change(ctx, e.Config.LocalConfig, func(f *lock.File) (bool, error) {
		for _, name := range names {
			was, ok := f.Plugins[name]
			if !ok {
				return false, &plugin.Error{Reason: reason.PluginMissing, Message: fmt.Sprintf(
					"unpin plugin %s: %s does not have it", name, filepath.Join(e.Config.LocalConfig, lock.FileName))}
			}
			were = append(were, was)
		}
		for _, name := range names {
			delete(f.Plugins, name)
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return were, nil
}

// PinState says how a plugin stands to plugins.lock.
type PinState string

// The states. The empty one: the lock does not have its name.
const (
	PinMatches PinState = "pinned"
	PinDiffers PinState = "differs" // it is refused
	PinUnknown PinState = "unknown" // the lock or the plugin cannot be read
)

// PinState compares a plugin with the lock. Only a plugin that the lock has is read, and only when its files are not
// those of the last time.
func (e *Engine) PinState(entry *plugin.Entry) (PinState, error) {
	f, err := e.lock()
	if err != nil {
		return PinUnknown, err
	}
	want, locked := f.Plugins[entry.Name]
	if !locked || entry.Masked || entry.Err != nil {
		return "", nil
	}
	digest, err := e.pins().Digest(entry)
	switch {
	case err != nil:
		return PinUnknown, err
	case digest != want.Digest:
		return PinDiffers, nil
	}
	return PinMatches, nil
}

// PinnedNames are the names that plugins.lock has; none when it cannot be read.
func (e *Engine) PinnedNames() []string {
	f, err := e.lock()
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(f.Plugins))
}

// Trust says whether rkt may run the plugin, by owners and modes, without running it.
func (e *Engine) Trust(entry *plugin.Entry) error {
	return plugin.Check(entry, os.Geteuid(), e.Config.Insecure.Plugin)
}

// Runnable is Trust, and whether the plugin's binary is a program: plugin.ErrNoProgram.
func (e *Engine) Runnable(entry *plugin.Entry) error {
	return plugin.CheckProgram(entry, os.Geteuid(), e.Config.Insecure.Plugin)
}

// Admitted says whether plugins.lock lets the plugin be run. Nothing is copied.
func (e *Engine) Admitted(entry *plugin.Entry) error {
	state, err := e.PinState(entry)
	if err != nil || state != PinDiffers {
		return err
	}
	digest, err := e.pins().Digest(entry)
	if err != nil {
		return err
	}
	return e.admit(entry, digest)
}

// Sums are the SHA-256 of the plugin's files, and the digest that they make.
func (e *Engine) Sums(entry *plugin.Entry) (map[string]string, string, error) {
	return e.pins().Sums(entry)
}

// effective is the plugin that counts for a name.
func (e *Engine) effective(name string) (*plugin.Entry, error) {
	entry, err := e.Plugin(name)
	switch {
	case err != nil:
		return nil, err
	case entry.Masked:
		return nil, fmt.Errorf("plugin %s is masked by %s", name, entry.Dir)
	case entry.Err != nil:
		return nil, fmt.Errorf("plugin %s cannot be used: %s: %w", name, entry.Dir, entry.Err)
	}
	return entry, nil
}
