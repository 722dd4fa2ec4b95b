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
		Message: fmt.Sprintf("it is not the one that is pinned: %s pins %s with digest %s, %s is %s with digest %s%s; when you have checked it: rkt plugin pin %s",
			filepath.Join(e.Config.LocalConfig, lock.FileName), version(want.Version), want.Digest,
			entry.Dir, version(entry.Manifest.Version), digest, what, entry.Name),
	}
}

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

// PinPlugin binds the plugin's name to the bytes that it has now, and says what they were.
func (e *Engine) PinPlugin(ctx context.Context, name string) (lock.Pin, error) {
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
	p := lock.Pin{
		Digest: digest, Files: sums, Version: entry.Manifest.Version, Directory: entry.Dir, Time: time.Now().UTC().Round(time.Second),
	}
	return p, lock.Change(ctx, e.Config.LocalConfig, func(f *lock.File) (bool, error) {
		f.Plugins[name] = p
		return true, nil
	})
}

// UnpinPlugin gives a name free, and says what it was bound to. It need not be installed any more.
func (e *Engine) UnpinPlugin(ctx context.Context, name string) (was lock.Pin, err error) {
	err = lock.Change(ctx, e.Config.LocalConfig, func(f *lock.File) (ok bool, err error) {
		if was, ok = f.Plugins[name]; !ok {
			return false, fmt.Errorf("unpin plugin %s: %s does not have it", name, filepath.Join(e.Config.LocalConfig, lock.FileName))
		}
		delete(f.Plugins, name)
		return true, nil
	})
	return was, err
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
