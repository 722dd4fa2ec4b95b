package reference

import (
	"strings"

	"github.com/spf13/cobra"
)

// Walk calls f with every command that help shows, a parent before its children.
func Walk(c *cobra.Command, f func(*cobra.Command) error) error {
	if err := f(c); err != nil {
		return err
	}
	for _, sub := range Below(c) {
		if err := Walk(sub, f); err != nil {
			return err
		}
	}
	return nil
}

// Below are the commands below c that have a page, in the order of help.
func Below(c *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, sub := range c.Commands() {
		if sub.Name() != "help" && (sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand()) {
			out = append(out, sub)
		}
	}
	return out
}

// Name is the page of a command, without its ending: "rkt-image-list".
func Name(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }
