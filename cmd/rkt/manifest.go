package main

import (
	"encoding/json"

	"github.com/spf13/cobra"
)

func (a *app) catManifestCmd() *cobra.Command {
	var pretty bool
	var uuidFile string
	c := &cobra.Command{
		Use:   "cat-manifest [FLAGS] UUID",
		Short: "print a pod's manifest",
		Long:  `Print what the pod is made of: its pod.json, as run, with the limits that rkt update has put in force.`,
	}
	c.Flags().BoolVar(&pretty, "pretty-print", true, "indent")
	addUUIDFile(c, &uuidFile)
	c.RunE = func(_ *cobra.Command, args []string) error {
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
		info, err := e.Pods.Info(id)
		if err != nil {
			return err
		}
		if info.Err != nil {
			return info.Err
		}
		return printJSON(a.stdout, info.Pod, pretty)
	}
	return c
}

// rawJSON prints a stored document as it is, or indented.
func (a *app) rawJSON(b []byte, pretty bool) error {
	return printJSON(a.stdout, json.RawMessage(b), pretty)
}
