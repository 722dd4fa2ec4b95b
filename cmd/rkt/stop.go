package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
)

func (a *app) stopCmd() *cobra.Command {
	var force bool
	var uuidFile string
	c := &cobra.Command{
		Use:   "stop [FLAGS] UUID...",
		Short: "stop running pods",
		Long: `Ask each app of the pods to end (the image's stop signal, SIGKILL after stop.grace), and return when the pods
have ended. With --force they are killed at once; that works without any plugin.`,
	}
	c.Flags().BoolVar(&force, "force", false, "kill at once")
	addUUIDFile(c, &uuidFile)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.eachPod(args, uuidFile, "stop", func(e *engine.Engine, id string) error {
			full, err := e.Stop(cmd.Context(), id, force)
			if errors.Is(err, engine.ErrAlreadyStopped) {
				fmt.Fprintf(a.stderr, "stop: pod %q is already stopped\n", full)
				return nil
			}
			if err == nil {
				fmt.Fprintf(a.stdout, "%q\n", full)
			}
			return err
		})
	}
	return c
}

func (a *app) rmCmd() *cobra.Command {
	var uuidFile string
	c := &cobra.Command{
		Use:   "rm [FLAGS] UUID...",
		Short: "remove pods that do not run",
		Long:  `Remove exited, prepared and aborted pods at once, without gc's grace time. Running pods are refused.`,
	}
	addUUIDFile(c, &uuidFile)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.eachPod(args, uuidFile, "rm", func(e *engine.Engine, id string) error {
			full, err := e.Remove(cmd.Context(), id)
			if err == nil {
				fmt.Fprintf(a.stdout, "%q\n", full)
			}
			return err
		})
	}
	return c
}

// eachPod goes through all pods whatever becomes of one, prints each error, and fails when one failed.
func (a *app) eachPod(args []string, uuidFile, verb string, do func(*engine.Engine, string) error) error {
	if uuidFile != "" {
		id, err := podArg(args, uuidFile)
		if err != nil {
			return err
		}
		args = []string{id}
	}
	if len(args) == 0 {
		return usagef("no pod UUID given (rkt list shows them)")
	}
	e, err := a.rootEngine()
	if err != nil {
		return err
	}
	failed := 0
	var last error
	for _, id := range args {
		if err := do(e, id); err != nil {
			fmt.Fprintf(a.stderr, "%s: %s\n", verb, quoteControl(err.Error()))
			failed, last = failed+1, err
		}
	}
	if failed == 0 {
		return nil
	}
	if len(args) > 1 {
		fmt.Fprintf(a.stderr, "%s: %d of %d pods failed\n", verb, failed, len(args))
	}
	return &shownError{last}
}
