package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/pod"
)

func (a *app) listCmd() *cobra.Command {
	var full, noLegend bool
	var form format
	c := &cobra.Command{
		Use:   "list [FLAGS]",
		Short: "list pods",
		Long:  `List pods, the youngest first, one row an app. Starts no plugin.`,
		Args:  noArgs,
	}
	f := c.Flags()
	f.BoolVar(&full, "full", false, "whole IDs and wall-clock times")
	f.BoolVar(&noLegend, "no-legend", false, "no header")
	addFormat(c, &form)
	c.RunE = func(*cobra.Command, []string) error {
		if err := form.check(); err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		infos, err := e.Pods.List()
		if err != nil {
			return err
		}
		var pods []podJSON
		var rows [][]string
		for _, i := range infos {
			if i.State == pod.StateEmbryo || i.State == pod.StateGarbage {
				continue
			}
			if i.Err != nil {
				e.Observer.Warn(i.Err.Error())
			}
			pods = append(pods, newPodJSON(i))
			rows = append(rows, podRows(i, full)...)
		}
		if form != "" {
			if pods == nil {
				pods = []podJSON{}
			}
			return form.print(a.stdout, pods)
		}
		var header []string
		if !noLegend {
			header = listHeader(full)
		}
		return table(a.stdout, header, rows)
	}
	return c
}

func listHeader(full bool) []string {
	if full {
		return []string{"UUID", "APP", "IMAGE NAME", "IMAGE ID", "STATE", "CREATED", "STARTED", "NETWORKS"}
	}
	return []string{"UUID", "APP", "IMAGE NAME", "STATE", "CREATED", "STARTED", "NETWORKS"}
}

// podRows are a pod's rows; further apps leave the pod's own columns blank.
func podRows(i pod.Info, full bool) [][]string {
	id := i.UUID
	if !full {
		id = id[:8]
	}
	row := func(app, name, image string, first bool) []string {
		r := []string{"", app, name}
		if full {
			r = append(r, image)
		}
		if !first {
			return append(r, "", "", "", "")
		}
		r[0] = id
		return append(r, string(i.State), ago(i.Pod.Created, full), ago(i.Started, full), networks(i))
	}
	if len(i.Pod.Apps) == 0 {
		return [][]string{row("-", "-", "-", true)}
	}
	var rows [][]string
	for n, app := range i.Pod.Apps {
		rows = append(rows, row(app.Name, app.Image.Name, app.Image.ID, n == 0))
	}
	return rows
}

func networks(i pod.Info) string {
	if i.Runtime == nil {
		return ""
	}
	var out []string
	for _, n := range i.Runtime.Network.Interfaces {
		for _, addr := range n.Addresses {
			ip, _, _ := strings.Cut(addr, "/")
			family := "ip4"
			if strings.Contains(ip, ":") {
				family = "ip6"
			}
			out = append(out, n.Network+":"+family+"="+ip)
		}
	}
	return strings.Join(out, ", ")
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unexpected argument %q", args[0])
	}
	return nil
}
