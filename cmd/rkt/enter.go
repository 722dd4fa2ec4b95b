package main

import (
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func (a *app) enterCmd() *cobra.Command {
	var name, uuidFile string
	c := &cobra.Command{
		Use:   "enter [FLAGS] UUID [COMMAND [ARGS...]]",
		Short: "run a command inside a running app",
		Long: `Run a command as root in the namespaces, the root and the confinement of an app: the same capabilities, system
call filter and limits. Without a command: a shell of the app's image. Flags after the UUID belong to the command.`,
		Example: `  rkt enter 5bc08f95 ps aux
  rkt enter --app=web --uuid-file=/run/web.uuid /bin/sh`,
	}
	c.Flags().SetInterspersed(false)
	c.Flags().StringVar(&name, "app", "", "`name` of the app, when the pod has several")
	addUUIDFile(c, &uuidFile)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if uuidFile == "" && len(args) == 0 {
			return usagef("no pod UUID given (rkt list shows them)")
		}
		var id string
		var err error
		if uuidFile != "" {
			id, err = podArg(nil, uuidFile)
		} else {
			id, args = args[0], args[1:]
		}
		if err != nil {
			return err
		}
		if len(args) > 0 && args[0] == "--" { // habit of docker exec and kubectl exec
			args = args[1:]
		}
		e, err := a.rootEngine()
		if err != nil {
			return err
		}
		return e.Enter(cmd.Context(), id, name, args, term.IsTerminal(0) && term.IsTerminal(1))
	}
	return c
}
