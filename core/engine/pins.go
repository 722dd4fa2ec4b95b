package engine

import (
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

// pin copies a plugin by digest, for as long as a pod refers to it, and returns the copy with what the pod records of it.
func (e *Engine) pin(entry *plugin.Entry, kind plugin.Kind) (*plugin.Entry, poddir.PinnedPlugin, error) {
	rec := poddir.PinnedPlugin{Name: entry.Name, Version: entry.Manifest.Version}
	var err error
	if rec.Protocol, err = plugin.Major(entry, kind); err != nil {
		return nil, rec, err
	}
	copied, digest, err := e.copied(entry)
	rec.Digest = digest
	return copied, rec, err
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
	entry, err = e.pins().Entry(digest)
	return entry, digest, err
}

// recordPlugin adds a pinned plugin to the pod's plugins.json.
func recordPlugin(p *pod.Pod, kind string, pinned poddir.PinnedPlugin) error {
	rec := poddir.Plugins{Schema: poddir.Schema, Plugins: map[string]poddir.PinnedPlugin{}}
	if err := poddir.ReadJSON(p.Path(), poddir.PluginsFile, &rec); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	rec.Plugins[kind] = pinned
	if err := poddir.WriteJSON(p.Path(), poddir.PluginsFile, rec); err != nil {
		return fmt.Errorf("record plugins of pod %s: %w", p.UUID, err)
	}
	return nil
}

// pinned returns the pod's own copy of a kind of plugin.
func (e *Engine) pinned(podDir, kind string) (*plugin.Entry, error) {
	var rec poddir.Plugins
	if err := poddir.ReadJSON(podDir, poddir.PluginsFile, &rec); err != nil {
		return nil, err
	}
	p, ok := rec.Plugins[kind]
	if !ok {
		return nil, fmt.Errorf("find plugin of pod %s: its %s names no %s", filepath.Base(podDir), poddir.PluginsFile, kind)
	}
	return e.pins().Entry(p.Digest)
}

func mkdir(p *pod.Pod, name string, mode os.FileMode) error {
	if err := os.Mkdir(filepath.Join(p.Path(), name), mode); err != nil {
		return fmt.Errorf("make pod %s: %w", p.UUID, err)
	}
	return nil
}
