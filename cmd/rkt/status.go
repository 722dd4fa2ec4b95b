package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/poddir"
)

func (a *app) statusCmd() *cobra.Command {
	var wait, uuidFile string
	var form format
	c := &cobra.Command{
		Use:   "status [FLAGS] UUID",
		Short: "show a pod's state and its apps' exit codes",
		Long:  `Show one pod, or with --wait first wait until it has ended. Starts no plugin.`,
	}
	f := c.Flags()
	addFormat(c, &form)
	f.StringVar(&wait, "wait", "", "wait for the pod's end, for ever or for a `duration` (10s)")
	f.Lookup("wait").NoOptDefVal = "true"
	addUUIDFile(c, &uuidFile)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := form.check(); err != nil {
			return err
		}
		limit, waits, err := parseWait(wait)
		if err != nil {
			return err
		}
		id, err := podArg(args, uuidFile)
		if err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		if id, err = e.Pods.Resolve(id); err != nil {
			return err
		}
		if waits {
			if err := waitPod(cmd.Context(), e, id, limit); err != nil {
				return err
			}
		}
		info, err := e.Pods.Info(id)
		if err != nil {
			return err
		}
		if form != "" {
			return form.print(a.stdout, newPodJSON(*info))
		}
		printStatus(a.stdout, info)
		return info.Err
	}
	return c
}

// addUUIDFile is how a unit file names its own pod.
func addUUIDFile(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "uuid-file", "", "`file` that holds the UUID (run --uuid-file-save), instead of a UUID")
}

// podArg is the one pod of a verb: an argument or the content of --uuid-file.
func podArg(args []string, uuidFile string) (string, error) {
	if uuidFile == "" {
		return first(args), oneUUID(nil, args)
	}
	if len(args) > 0 {
		return "", usagef("a UUID and --uuid-file exclude each other")
	}
	b, err := os.ReadFile(uuidFile)
	if err != nil {
		return "", fmt.Errorf("read pod UUID: %w", err)
	}
	id := strings.TrimSpace(string(b))
	if id == "" {
		return "", fmt.Errorf("read pod UUID: %s is empty", uuidFile)
	}
	return id, nil
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

func parseWait(s string) (time.Duration, bool, error) {
	switch s {
	case "", "false":
		return 0, false, nil
	case "true":
		return 0, true, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, false, usagef("--wait: %q is neither true, false nor a duration such as 10s", s)
	}
	return d, true, nil
}

func waitPod(ctx context.Context, e *engine.Engine, id string, limit time.Duration) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	err := e.Pods.Wait(ctx, id)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("pod %s has not ended within %s", id, limit)
	}
	return err
}

// printStatus prints lines of KEY=VALUE, for shells to read.
func printStatus(w io.Writer, i *pod.Info) {
	fmt.Fprintf(w, "state=%s\n", i.State)
	if !i.Pod.Created.IsZero() {
		fmt.Fprintf(w, "created=%s\n", ago(i.Pod.Created, true))
	}
	if !i.Started.IsZero() {
		fmt.Fprintf(w, "started=%s\n", ago(i.Started, true))
	}
	if i.Runtime != nil {
		fmt.Fprintf(w, "networks=%s\n", networks(*i))
	}
	if i.Pid != 0 {
		fmt.Fprintf(w, "pid=%d\n", i.Pid)
	}
	switch i.State {
	case pod.StateRunning:
		fmt.Fprintln(w, "exited=false")
	case pod.StateExited, pod.StateExitedGarbage:
		fmt.Fprintln(w, "exited=true")
	}
	if i.Exit != nil {
		fmt.Fprintf(w, "exit-code=%d\n", i.Exit.Code)
	}
	for _, app := range i.Pod.Apps {
		st, ok := i.Apps[app.Name]
		if ok && st.State == poddir.AppExited {
			fmt.Fprintf(w, "app-%s=%d\n", app.Name, st.Code)
			if st.Reason != "" {
				fmt.Fprintf(w, "app-%s-reason=%s\n", app.Name, oneLine(st.Reason))
			}
		}
	}
}

func oneUUID(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("exactly one pod UUID is needed (rkt list shows them)")
	}
	return nil
}
