package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/lock"
)

// pinJSON is a plugin in plugin pin.
type pinJSON struct {
	Name      string            `json:"name"`
	Version   string            `json:"version"`
	Directory string            `json:"directory"`
	Digest    string            `json:"digest"`
	Files     map[string]string `json:"files"`
}

func (a *app) pluginPinCmd() *cobra.Command {
	var form string
	c := &cobra.Command{
		Use:   "pin [FLAGS] NAME...",
		Short: "allow these plugins no other bytes than they have now",
		Long: `Write the SHA-256 of each plugin's files (plugin.json, its binary and its programs) into plugins.lock of the local
configuration. From then on rkt refuses whatever else bears the name, wherever it is found, before a byte of it runs;
--insecure-options=plugin does not change that. Pods that run are not touched: they keep the copy they were started
with, and are entered, stopped and collected by it.

After an upgrade that you have checked, pin again. Plugins that are not named are not affected.`,
		Example: `  rkt plugin pin stage1-linux network-cni
  apt-get upgrade rkt-stage1-linux && rkt plugin check stage1-linux ; rkt plugin pin stage1-linux`,
		Args:              somePlugins,
		ValidArgsFunction: a.completePlugins,
	}
	c.Flags().StringVar(&form, "format", "", "json or json-pretty")
	c.RunE = func(cmd *cobra.Command, names []string) error {
		if err := format(form).check(); err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		out := []pinJSON{}
		for _, name := range names {
			p, err := e.PinPlugin(cmd.Context(), name)
			if err != nil {
				return err
			}
			out = append(out, pinJSON{Name: name, Version: p.Version, Directory: p.Directory, Digest: p.Digest, Files: p.Files})
			if form == "" {
				fmt.Fprintf(a.stdout, "pinned %s %s of %s to %s\n", name, oneLine(p.Version), oneLine(p.Directory), p.Digest)
			}
		}
		if form != "" {
			return format(form).print(a.stdout, out)
		}
		return nil
	}
	return c
}

func (a *app) pluginUnpinCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "unpin NAME...",
		Short: "allow these plugins any bytes again",
		Long: `Take plugins out of ` + lock.FileName + ` of the local configuration. What is asked of their owners and modes stays. The
plugins need not be installed any more.`,
		Args: somePlugins,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			e, err := a.engine()
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			return e.PinnedNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			e, err := a.engine()
			if err != nil {
				return err
			}
			for _, name := range names {
				if err := e.UnpinPlugin(cmd.Context(), name); err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "unpinned %s\n", name)
			}
			return nil
		},
	}
}
