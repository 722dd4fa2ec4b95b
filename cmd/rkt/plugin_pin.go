package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/lock"
)

// pinJSON is a plugin in plugin pin and unpin: what it is bound to, or was.
type pinJSON struct {
	Name      string            `json:"name"`
	Version   string            `json:"version"`
	Directory string            `json:"directory"`
	Digest    string            `json:"digest"`
	Files     map[string]string `json:"files"`
}

func newPinJSON(name string, p lock.Pin) pinJSON {
	if p.Files == nil {
		p.Files = map[string]string{}
	}
	return pinJSON{Name: name, Version: p.Version, Directory: p.Directory, Digest: p.Digest, Files: p.Files}
}

func (a *app) pluginPinCmd() *cobra.Command {
	var form format
	c := &cobra.Command{
		Use:   "pin [FLAGS] NAME...",
		Short: "allow these plugins no other bytes than they have now",
		Long: `Write the SHA-256 of each plugin's files (plugin.json, its binary and its programs) into ` + lock.FileName + ` of the local
configuration. From then on rkt refuses whatever else bears the name, wherever it is found, before a byte of it runs;
--insecure-options=plugin does not change that. Pods that run are not touched: they keep the copy they were started
with, and are entered, stopped and collected by it.

An upgrade is refused until it is pinned in turn: rkt plugin inspect shows the sums of its files and runs nothing.
Plugins that are not named are not affected. When one of several cannot be pinned, none is.`,
		Example: `  rkt plugin pin stage1-linux network-cni
  rkt plugin inspect stage1-linux && rkt plugin pin stage1-linux`,
		Args:              somePlugins,
		ValidArgsFunction: a.completePlugins,
	}
	addFormat(c, &form)
	c.RunE = func(cmd *cobra.Command, names []string) error {
		return a.changePins(names, form, func(e *engine.Engine) ([]lock.Pin, error) {
			return e.PinPlugins(cmd.Context(), names)
		}, func(p pinJSON) {
			fmt.Fprintf(a.stdout, "pinned %s %s of %s to %s\n", p.Name, oneLine(p.Version), oneLine(p.Directory), p.Digest)
		})
	}
	return c
}

func (a *app) pluginUnpinCmd() *cobra.Command {
	var form format
	c := &cobra.Command{
		Use:   "unpin [FLAGS] NAME...",
		Short: "allow these plugins any bytes again",
		Long: `Take plugins out of ` + lock.FileName + ` of the local configuration. What is asked of their owners and modes stays. The
plugins need not be installed any more. When one of several is not pinned, nothing is changed.`,
		Args: somePlugins,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			e, err := a.engine()
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			return e.PinnedNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	addFormat(c, &form)
	c.RunE = func(cmd *cobra.Command, names []string) error {
		return a.changePins(names, form, func(e *engine.Engine) ([]lock.Pin, error) {
			return e.UnpinPlugins(cmd.Context(), names)
		}, func(p pinJSON) { fmt.Fprintf(a.stdout, "unpinned %s\n", p.Name) })
	}
	return c
}

// changePins changes plugins.lock once, for all names or for none, and shows what was done.
func (a *app) changePins(names []string, form format, do func(*engine.Engine) ([]lock.Pin, error), show func(pinJSON)) error {
	if err := form.check(); err != nil {
		return err
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	pins, err := do(e)
	if err != nil {
		return err
	}
	out := []pinJSON{}
	for i, p := range pins {
		out = append(out, newPinJSON(names[i], p))
		if form == "" {
			show(out[i])
		}
	}
	if form != "" {
		return form.print(a.stdout, out)
	}
	return nil
}
