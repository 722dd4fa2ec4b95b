package engine

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"

	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// PluginUse is one binary that pods hold: a copy by digest, whatever has become of the package it came from.
type PluginUse struct {
	Name, Version string
	Digest        string
	Installed     bool // the plugin that counts for the name has these very bytes
	Missing       bool // the copy is gone: those pods can be stopped with --force and removed, not entered
	Pods          []PluginPod
}

// PluginPod is one pod that holds it.
type PluginPod struct {
	UUID  string
	Kind  string // the part that it plays: "stage1", "network"
	State pod.State
}

// PluginUses reads which pods hold which plugins, of one name or, when it is empty, of all. It starts no plugin and
// needs none. A pod that cannot be read is in the error and keeps no other back.
func (e *Engine) PluginUses(name string) ([]PluginUse, error) {
	infos, err := e.Pods.List()
	if err != nil {
		return nil, err
	}
	type binary struct{ name, digest string }
	uses := map[binary]*PluginUse{}
	var errs []error
	for _, info := range infos {
		var rec poddir.Plugins
		if err := poddir.ReadJSON(info.Path, poddir.PluginsFile, &rec); err != nil {
			if !errors.Is(err, fs.ErrNotExist) { // it is too young, or going
				errs = append(errs, err)
			}
			continue
		}
		for kind, p := range rec.Plugins {
			if name != "" && p.Name != name {
				continue
			}
			b := binary{p.Name, p.Digest}
			if uses[b] == nil {
				uses[b] = &PluginUse{Name: p.Name, Version: p.Version, Digest: p.Digest, Missing: !e.pins().Has(p.Digest)}
			}
			uses[b].Pods = append(uses[b].Pods, PluginPod{UUID: info.UUID, Kind: kind, State: info.State})
		}
	}
	out := make([]PluginUse, 0, len(uses))
	for _, u := range uses {
		u.Installed = e.installed(u.Name) == u.Digest
		slices.SortFunc(u.Pods, func(a, b PluginPod) int {
			return cmp.Or(cmp.Compare(a.UUID, b.UUID), cmp.Compare(a.Kind, b.Kind))
		})
		out = append(out, *u)
	}
	slices.SortFunc(out, func(a, b PluginUse) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), -cmp.Compare(len(a.Pods), len(b.Pods)), cmp.Compare(a.Digest, b.Digest))
	})
	return out, errors.Join(errs...)
}

// installed is the digest of the plugin that counts for a name; empty when there is none that can be used.
func (e *Engine) installed(name string) string {
	entry, err := e.effective(name)
	if err != nil {
		return ""
	}
	digest, err := e.pins().Digest(entry)
	if err != nil {
		return ""
	}
	return digest
}
