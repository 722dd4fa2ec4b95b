package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// Kinds in plugins.json.
const (
	kindStage1  = "stage1"
	kindNetwork = "network"
)

// held is a plugin as one pod holds it: the copy of its files, and the configuration that it had when the pod was
// made. A later configuration may be one of a later version's.
type held struct {
	*plugin.Entry
	record   poddir.PinnedPlugin
	settings []byte
	hint     string // where the settings are
}

// pin copies a plugin by digest, for as long as a pod refers to it.
func (e *Engine) pin(entry *plugin.Entry, kind plugin.Kind) (*held, error) {
	h := &held{record: poddir.PinnedPlugin{Name: entry.Name, Version: entry.Manifest.Version}}
	var err error
	if h.record.Protocol, err = plugin.Major(entry, kind); err != nil {
		return nil, err
	}
	if h.settings, err = e.settings(entry.Name); err != nil {
		return nil, err
	}
	h.hint = e.settingsHint(entry, h.settings)
	h.Entry, h.record.Digest, err = e.copied(entry)
	return h, err
}

// copied is a plugin's copy by digest. What plugins.lock does not allow is refused.
func (e *Engine) copied(entry *plugin.Entry) (*plugin.Entry, string, error) {
	digest, err := e.pins().Pin(entry)
	if err != nil {
		return nil, "", err
	}
	if err := e.admit(entry, digest); err != nil {
		return nil, digest, err
	}
	copied, err := e.pins().Entry(digest)
	if err == nil && !entry.Pinned() {
		copied.Origin = entry.Dir
	}
	return copied, digest, err
}

// recordPlugin adds a pinned plugin to the pod's plugins.json, and its configuration beside it.
func recordPlugin(p *pod.Pod, kind string, h *held) error {
	rec := poddir.Plugins{Schema: poddir.Schema, Plugins: map[string]poddir.PinnedPlugin{}}
	if err := poddir.ReadJSON(p.Path(), poddir.PluginsFile, &rec); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	rec.Plugins[kind] = h.record
	err := os.Mkdir(filepath.Join(p.Path(), poddir.SettingsDir), 0o700)
	if errors.Is(err, os.ErrExist) {
		err = nil
	}
	if err == nil {
		err = poddir.WriteFile(p.Path(), settingsOf(kind), h.settings)
	}
	if err == nil {
		err = poddir.WriteJSON(p.Path(), poddir.PluginsFile, rec)
	}
	if err != nil {
		return fmt.Errorf("record plugins of pod %s: %w", p.UUID, err)
	}
	return nil
}

func settingsOf(kind string) string { return filepath.Join(poddir.SettingsDir, kind+".json") }

// pinned returns the pod's own copy of a kind of plugin.
func (e *Engine) pinned(podDir, kind string) (*held, error) {
	var rec poddir.Plugins
	if err := poddir.ReadJSON(podDir, poddir.PluginsFile, &rec); err != nil {
		return nil, err
	}
	p, ok := rec.Plugins[kind]
	if !ok {
		return nil, fmt.Errorf("find plugin of pod %s: its %s names no %s", filepath.Base(podDir), poddir.PluginsFile, kind)
	}
	h := &held{record: p}
	var err error
	if h.Entry, err = e.pins().Entry(p.Digest); err != nil {
		return nil, err
	}
	h.hint = "in " + filepath.Join(podDir, settingsOf(kind)) + ", the pod's own copy of the time when it was made"
	h.settings, err = os.ReadFile(filepath.Join(podDir, settingsOf(kind)))
	if errors.Is(err, os.ErrNotExist) { // made by an rkt that kept none
		h.settings, err = e.settings(p.Name)
		h.hint = e.settingsHint(h.Entry, h.settings)
	}
	return h, err
}

// launchHeld starts a pod's own copy of a plugin, with the pod's own copy of its configuration.
func (e *Engine) launchHeld(ctx context.Context, h *held, o plugin.Options) (*plugin.Process, error) {
	o.Config, o.ConfigHint = h.settings, h.hint
	return e.run(ctx, h.Entry, o)
}

func mkdir(p *pod.Pod, name string, mode os.FileMode) error {
	if err := os.Mkdir(filepath.Join(p.Path(), name), mode); err != nil {
		return fmt.Errorf("make pod %s: %w", p.UUID, err)
	}
	return nil
}
