package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rkt/rkt/v2/core/internal/linux"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/schema"
	"github.com/rkt/rkt/v2/proto/manifest"
)

// maxSettings bounds a plugin's configuration and its schema; the wire would take no larger one either.
const maxSettings = 4 << 20

// settingsFile is where the administrator configures a plugin.
func (e *Engine) settingsFile(name string) string {
	return filepath.Join(e.Config.LocalConfig, "plugins", name+".json")
}

// settings are the bytes of a plugin's configuration, nil when there is none.
func (e *Engine) settings(name string) ([]byte, error) {
	b, err := os.ReadFile(e.settingsFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration of plugin %s: %w", name, err)
	}
	return b, nil
}

// settingsHint is the next step when a plugin refuses them.
func (e *Engine) settingsHint(entry *plugin.Entry, settings []byte) string {
	name := entry.Name
	if settings == nil {
		return "it is configured in " + e.settingsFile(name) + ", which is not there"
	}
	in := "in " + e.settingsFile(name)
	if entry.Manifest.ConfigSchema == "" {
		return in + "; rkt plugin check " + name + " asks the plugin again, which ships no schema"
	}
	return in + "; rkt plugin config check " + name + " says what it may hold"
}

// SettingsState is what is known of a plugin's configuration without running the plugin.
type SettingsState string

// The states.
const (
	SettingsAbsent   SettingsState = "absent"    // there is no file: the plugin's defaults
	SettingsValid    SettingsState = "valid"     // the schema has nothing against it
	SettingsInvalid  SettingsState = "invalid"   // the findings say what
	SettingsNoSchema SettingsState = "no schema" // the plugin ships none: only the plugin itself can say
	SettingsOrphan   SettingsState = "orphan"    // no plugin of this name is there: a file that nobody reads
)

// Settings is the result for one plugin.
type Settings struct {
	Plugin, File, Schema string // the two files; Schema is empty when there is none
	State                SettingsState
	Findings             []schema.Finding
}

// CheckSettings holds the configurations of the named plugins, or all that there are, against the plugins' schemas.
// No plugin is run.
func (e *Engine) CheckSettings(names []string) ([]Settings, error) {
	all := len(names) == 0
	if all {
		files, err := os.ReadDir(filepath.Join(e.Config.LocalConfig, "plugins"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("check configuration: %w", err)
		}
		for _, f := range files {
			if name, ok := strings.CutSuffix(f.Name(), ".json"); ok {
				names = append(names, name)
			}
		}
		for _, entry := range e.Plugins().Entries() {
			if entry.Manifest != nil && entry.Manifest.ConfigSchema != "" {
				names = append(names, entry.Name)
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
	}
	var out []Settings
	for _, name := range names {
		s, err := e.checkSettings(name)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (e *Engine) checkSettings(name string) (Settings, error) {
	out := Settings{Plugin: name, File: e.settingsFile(name), State: SettingsAbsent}
	doc, err := e.settings(name)
	if err != nil {
		return out, err
	}
	entry, err := e.effective(name)
	switch {
	case err != nil && doc == nil:
		return out, err
	case err != nil:
		out.State = SettingsOrphan
		out.Findings = []schema.Finding{{Summary: err.Error()}}
		return out, nil
	}
	s, err := readSchema(entry)
	if err != nil {
		return out, err
	}
	if s != nil {
		out.Schema = filepath.Join(entry.Dir, entry.Manifest.ConfigSchema)
	}
	switch {
	case doc == nil && s != nil:
		out.Findings = s.Check([]byte("{}")) // what the schema wants, and is not there
	case doc == nil:
	case s == nil:
		out.State = SettingsNoSchema
	default:
		if out.Findings = s.Check(doc); len(out.Findings) > 0 {
			out.State = SettingsInvalid
		} else {
			out.State = SettingsValid
		}
	}
	return out, nil
}

// readSchema reads the schema that a plugin ships, nil when it ships none.
func readSchema(entry *plugin.Entry) (*schema.Schema, error) {
	if entry.Manifest.ConfigSchema == "" {
		return nil, nil
	}
	b, err := readBeneath(entry.Dir, entry.Manifest.ConfigSchema)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read schema of plugin %s: %s names %s, which is not in %s (install its package anew; its author makes the file with %s manifest DIR)",
			entry.Name, manifest.FileName, entry.Manifest.ConfigSchema, entry.Dir, entry.Manifest.Exec)
	}
	if err != nil {
		return nil, fmt.Errorf("read schema of plugin %s: %w", entry.Name, err)
	}
	s, err := schema.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("read schema of plugin %s: %s: %w", entry.Name, filepath.Join(entry.Dir, entry.Manifest.ConfigSchema), err)
	}
	return s, nil
}

func readBeneath(dir, name string) ([]byte, error) {
	d, err := linux.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	f, fi, err := linux.OpenBeneath(d, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi.Size() > maxSettings {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", name, fi.Size(), maxSettings)
	}
	return io.ReadAll(io.LimitReader(f, maxSettings))
}
