package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/scaffold"
)

func (a *app) pluginNewCmd() *cobra.Command {
	p := scaffold.Plugin{Version: version}
	c := &cobra.Command{
		Use:   "new [FLAGS] KIND NAME",
		Short: "begin a plugin of one's own",
		Long: `Write a Go module that is a working plugin: the sdk's own small example of the kind, with the name given, a Makefile,
the recipe for deb and rpm packages, a README and the conformance test. KIND is ` + strings.Join(scaffold.Kinds(), ", ") + `.
It begins as one of these, the first of its kind unless --example names another:

` + examples() + `

By convention a plugin is called KIND-WORD; the WORD becomes the flavor of a stage1 (--stage1=WORD) and the scheme of a
fetcher (WORD://...). Until a release of rkt is published, --sdk names the checkout to build against.`,
		Example: `  rkt plugin new --sdk=$HOME/rkt stage1 stage1-mine
  cd stage1-mine && make && sudo make install && rkt plugin check stage1-mine`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("a kind and a name are needed: KIND is %s", strings.Join(scaffold.Kinds(), ", "))
			}
			if !slices.Contains(scaffold.Kinds(), args[0]) {
				return usagef("%q is no kind of plugin: KIND is %s", args[0], strings.Join(scaffold.Kinds(), ", "))
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return scaffold.Kinds(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.Flags().StringVar(&p.Dir, "output", "", "`directory` to write it into, new or empty (default ./NAME)")
	c.Flags().StringVar(&p.Module, "module", "", "`path` of the Go module (default example.com/rkt-NAME)")
	c.Flags().StringVar(&p.Example, "example", "", "`name` of the example to begin with")
	c.Flags().StringVar(&p.SDK, "sdk", "", "build against the checkout of rkt in this `directory`")
	c.RunE = func(_ *cobra.Command, args []string) error {
		p.Kind, p.Name = args[0], args[1]
		if p.Dir == "" {
			p.Dir = p.Name
		}
		names, err := p.Write()
		if err != nil {
			return err
		}
		for _, n := range names {
			fmt.Fprintln(a.stdout, filepath.Join(p.Dir, n))
		}
		return nil
	}
	return c
}

// examples is a table of what plugins begin as.
func examples() string {
	var b strings.Builder
	for _, e := range scaffold.Examples() {
		fmt.Fprintf(&b, "  %-17s %s\n", e[0], e[1])
	}
	return strings.TrimSuffix(b.String(), "\n")
}
