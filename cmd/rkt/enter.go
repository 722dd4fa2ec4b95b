package main

import (
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func (a *app) enterCmd() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:   "enter [--app=NAME] UUID [COMMAND [ARGS...]]",
		Short: "run a command inside a running app",
		Long: `Run a command in the namespaces, the root and the confinement of an app: the same capabilities, system call
filter and limits. Without a command: a shell of the app's image. Flags after the UUID belong to the command.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("no pod UUID given (rkt list shows them)")
			}
			return nil
		},
	}
	c.Flags().SetInterspersed(false)
	c.Flags().StringVar(&name, "app", "", "`name` of the app, when the pod has several")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := needRoot(); err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		return e.Enter(cmd.Context(), args[0], name, args[1:], term.IsTerminal(0) && term.IsTerminal(1))
	}
	return c
}
