package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// helpWidth is where help breaks its lines: pages of the reference are made of it, so it is no terminal's.
const helpWidth = 110

// The groups of rkt's own help. What has none is listed last.
const (
	groupPods   = "pods"
	groupImages = "images"
	groupOthers = "others"
)

func groups() []*cobra.Group {
	return []*cobra.Group{{ID: groupPods, Title: "Pods:"}, {ID: groupImages, Title: "Images:"}, {ID: groupOthers, Title: "Plugins and rkt itself:"}}
}

// grouped adds commands to root under a heading.
func grouped(root *cobra.Command, group string, cmds ...*cobra.Command) {
	for _, c := range cmds {
		c.GroupID = group
		root.AddCommand(c)
	}
}

// usage is all of help below the description. It uses no template: compiling one costs more than most verbs.
func usage(c *cobra.Command) error {
	w := c.OutOrStderr()
	if !c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "Usage:\n  %s\n", c.UseLine())
	} else {
		fmt.Fprintf(w, "Usage:\n  %s COMMAND [FLAGS]\n", c.CommandPath())
		listCommands(w, c)
	}
	if c.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", c.Example)
	}
	if c.HasAvailableLocalFlags() {
		fmt.Fprintf(w, "\nFlags:\n%s", c.LocalFlags().FlagUsagesWrapped(helpWidth))
	}
	if c.HasAvailableInheritedFlags() {
		fmt.Fprintf(w, "\nGlobal flags:\n%s", c.InheritedFlags().FlagUsagesWrapped(helpWidth))
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\n%s COMMAND --help says more.\n", c.CommandPath())
	}
	return nil
}

func listCommands(w io.Writer, c *cobra.Command) {
	section := func(title, group string) {
		var b strings.Builder
		for _, sub := range c.Commands() {
			if sub.GroupID == group && (sub.IsAvailableCommand() || sub.Name() == "help") {
				fmt.Fprintf(&b, "  %-*s %s\n", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
		if b.Len() > 0 {
			fmt.Fprintf(w, "\n%s\n%s", title, b.String())
		}
	}
	for _, g := range c.Groups() {
		section(g.Title, g.ID)
	}
	section("Commands:", "")
}
