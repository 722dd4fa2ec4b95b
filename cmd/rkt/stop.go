package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
)

// endedJSON is what became of one pod in stop and rm.
type endedJSON struct {
	Name   string  `json:"name" jsonschema:"the UUID; when it failed, the argument"`
	Result outcome `json:"result"`
	Error  string  `json:"error,omitempty" jsonschema:"why it failed"`
}

// outcome is what became of a pod.
type outcome string

const (
	stopped        outcome = "stopped"
	alreadyStopped outcome = "already stopped"
	removed        outcome = "removed"
	failed         outcome = "failed"
)

func (a *app) stopCmd() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "stop [FLAGS] UUID...",
		Short: "stop running pods",
		Long: `Ask each app of the pods to end (the image's stop signal, SIGKILL after stop.grace), and return when the pods
have ended. With --force they are killed at once; that works without any plugin.`,
	}
	c.Flags().BoolVar(&force, "force", false, "kill at once")
	a.eachPod(c, func(ctx context.Context, e *engine.Engine, id string) (string, outcome, error) {
		full, err := e.Stop(ctx, id, force)
		if errors.Is(err, engine.ErrAlreadyStopped) {
			fmt.Fprintf(a.stderr, "stop: pod %q is already stopped\n", full)
			return full, alreadyStopped, nil
		}
		return full, stopped, err
	})
	return c
}

func (a *app) rmCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "rm [FLAGS] UUID...",
		Short: "remove pods that do not run",
		Long:  `Remove exited, prepared and aborted pods at once, without gc's grace time. Running pods are refused.`,
	}
	a.eachPod(c, func(ctx context.Context, e *engine.Engine, id string) (string, outcome, error) {
		full, err := e.Remove(ctx, id)
		return full, removed, err
	})
	return c
}

// eachPod makes c a verb that goes through all pods whatever becomes of one, prints each error, and fails when one
// failed. do returns the pod's whole UUID and what became of it.
func (a *app) eachPod(c *cobra.Command, do func(context.Context, *engine.Engine, string) (id string, result outcome, err error)) {
	var uuidFile string
	var form format
	addUUIDFile(c, &uuidFile)
	addFormat(c, &form)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := form.check(); err != nil {
			return err
		}
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
		ended, bad := []endedJSON{}, 0
		var last error
		for _, id := range args {
			full, result, err := do(cmd.Context(), e, id)
			switch {
			case err != nil:
				fmt.Fprintf(a.stderr, "%s: %s\n", commandName(cmd), quoteControl(err.Error()))
				ended = append(ended, endedJSON{id, failed, err.Error()})
				bad, last = bad+1, err
				continue
			case form == "" && result != alreadyStopped:
				fmt.Fprintf(a.stdout, "%s\n", full)
			}
			ended = append(ended, endedJSON{Name: full, Result: result})
		}
		if form != "" {
			if err := form.print(a.stdout, ended); err != nil {
				return err
			}
		}
		if bad == 0 {
			return nil
		}
		if len(args) > 1 {
			fmt.Fprintf(a.stderr, "%s: %d of %d pods failed\n", commandName(cmd), bad, len(args))
		}
		return &shownError{last}
	}
}
