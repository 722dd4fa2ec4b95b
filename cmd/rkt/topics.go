package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// topics are pages of help that are no verbs. Like what rkt runs itself they are there when named in full, so
// that a prefix never means one.
func topics() []*cobra.Command {
	return []*cobra.Command{exitCodesTopic()}
}

func exitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString(`rkt run and run-prepared exit with the status of the pod, which is that of its first app that failed, or 0.
It is 128+N for an app that signal N ended, 127 when its program was not found, 126 when it could not be executed.
rkt enter exits likewise with the status of its command. When rkt itself fails, the status is one of these:

`)
	for _, r := range exitRows() {
		lines := r.when
		for _, known := range r.reasons {
			lines = append(lines, string(known))
		}
		fmt.Fprintf(&b, "  %3d  %s\n", r.code, strings.Join(lines, "\n       "))
	}
	b.WriteString(`
The words in capitals are reasons of plugins. They end the error's line, as in [IMAGE_NOT_FOUND].`)
	return &cobra.Command{Use: "exit-codes", Short: "exit statuses of rkt", Long: b.String()}
}

// documented is the command tree with every page that the reference has.
func documented() *cobra.Command {
	a := &app{stdout: io.Discard, stderr: io.Discard}
	root := a.command()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	root.AddCommand(topics()...)
	return root
}
