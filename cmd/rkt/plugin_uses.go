package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
)

// pluginUseJSON is one binary that pods hold.
type pluginUseJSON struct {
	Name      string          `json:"name"`
	Version   string          `json:"version"`
	Digest    string          `json:"digest"`
	Installed bool            `json:"installed"` // the installed plugin has these very bytes
	Missing   bool            `json:"missing,omitempty"`
	Pods      []pluginPodJSON `json:"pods"`
}

// pluginPodJSON is one pod that holds it.
type pluginPodJSON struct {
	Name  string `json:"name"` // the pod's UUID
	Kind  string `json:"kind"` // stage1 or network
	State string `json:"state"`
}

func (a *app) pluginInUseCmd() *cobra.Command {
	var form string
	var noLegend, full bool
	c := &cobra.Command{
		Use:   "in-use [FLAGS] [NAME]",
		Short: "show which pods hold which plugin",
		Long: `Show each plugin's binary that pods hold, by digest: a pod keeps the copy that it was started with until the pod is
collected, whatever becomes of the package. A copy that no pod holds any more goes with the first rkt gc that comes
ten minutes or more after it was last asked for. BINARY says whether the installed plugin is the same ("installed"), or
whether it has been upgraded or removed since ("former"). "missing": somebody has removed the copy; such a pod can be
stopped with --force and collected, and not entered.

Starts no plugin and needs none. A package can be removed or upgraded while this shows pods. A NAME that is neither
installed nor held by any pod is an error.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("at most one plugin name is taken")
			}
			return nil
		},
		ValidArgsFunction: a.completePlugins,
	}
	c.Flags().StringVar(&form, "format", "", "json or json-pretty")
	c.Flags().BoolVar(&noLegend, "no-legend", false, "no header")
	c.Flags().BoolVar(&full, "full", false, "whole digests, and one row a pod")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if err := format(form).check(); err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		uses, useErr := e.PluginUses(first(args))
		if len(args) > 0 && len(uses) == 0 && useErr == nil {
			if _, err := e.Plugin(args[0]); err != nil {
				return err
			}
		}
		if form != "" {
			out := []pluginUseJSON{}
			for _, u := range uses {
				out = append(out, newPluginUseJSON(u))
			}
			if err := format(form).print(a.stdout, out); err != nil {
				return err
			}
			return useErr
		}
		header, rows := useRows(uses, full)
		if noLegend {
			header = nil
		}
		if err := table(a.stdout, header, rows); err != nil {
			return err
		}
		return useErr
	}
	return c
}

func newPluginUseJSON(u engine.PluginUse) pluginUseJSON {
	out := pluginUseJSON{Name: u.Name, Version: u.Version, Digest: u.Digest, Installed: u.Installed, Missing: u.Missing, Pods: []pluginPodJSON{}}
	for _, p := range u.Pods {
		out.Pods = append(out.Pods, pluginPodJSON{Name: p.UUID, Kind: p.Kind, State: string(p.State)})
	}
	return out
}

func useRows(uses []engine.PluginUse, full bool) (header []string, rows [][]string) {
	if full {
		for _, u := range uses {
			for _, p := range u.Pods {
				rows = append(rows, []string{u.Name, u.Version, u.Digest, binaryState(u), p.UUID, p.Kind, string(p.State)})
			}
		}
		return []string{"NAME", "VERSION", "DIGEST", "BINARY", "POD", "KIND", "STATE"}, rows
	}
	for _, u := range uses {
		states := map[string]int{}
		for _, p := range u.Pods {
			states[string(p.State)]++
		}
		var counts []string
		for _, s := range slices.Sorted(maps.Keys(states)) {
			counts = append(counts, fmt.Sprintf("%d %s", states[s], s))
		}
		digest := u.Digest[:min(12, len(u.Digest))]
		rows = append(rows, []string{u.Name, u.Version, digest, binaryState(u), fmt.Sprint(len(u.Pods)), strings.Join(counts, ", ")})
	}
	return []string{"NAME", "VERSION", "DIGEST", "BINARY", "PODS", "STATES"}, rows
}

func binaryState(u engine.PluginUse) string {
	switch {
	case u.Missing:
		return "missing"
	case u.Installed:
		return "installed"
	}
	return "former"
}
