package main

import (
	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/proto/poddir"
)

func (a *app) runCmd() *cobra.Command {
	var prep prepareFlags
	var start startFlags
	c := withApps(&cobra.Command{
		Use:   "run [POD FLAGS] IMAGE [APP FLAGS] [-- ARGS [---]] [IMAGE ...]",
		Short: "run a pod in the foreground",
		Long: `Fetch what is missing, and run the images as one pod. This process becomes the pod's supervisor: it passes
signals on, and exits with the status of the first app that failed, or 0.

Images: docker://REF, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:TAG], aci://NAME (appc discovery),
an ACI's path or URL, an ID such as sha256-1f2e..., or a bare name, looked up in the store and then tried as each
scheme of image.search.`,
		Example: `  rkt run docker://alpine --exec=/bin/echo -- hello
  rkt run --port=80-tcp:8080 docker://nginx --memory=128Mi
  rkt run --detach --uuid-file-save=/run/web.uuid docker://nginx`,
	})
	prep.add(c.Flags())
	start.add(c.Flags())
	c.RunE = func(cmd *cobra.Command, words []string) error {
		spec, err := prep.build(cmd, words)
		if err != nil {
			return err
		}
		opts, err := start.build()
		if err != nil {
			return err
		}
		if err := checkNetWord(start.nets, words); err != nil {
			return err
		}
		if err := checkStart(spec, opts); err != nil {
			return err
		}
		e, err := a.rootEngine()
		if err != nil {
			return err
		}
		if !opts.Detached {
			return e.Run(cmd.Context(), spec, opts)
		}
		return a.printID(e.RunDetached(cmd.Context(), spec, opts))
	}
	return c
}

// checkStart refuses contradictions before anything is fetched.
func checkStart(spec engine.PodSpec, opts engine.RunOptions) error {
	if len(spec.Ports) > 0 && opts.Network != poddir.NetworkPlugin {
		return usagef("--port publishes ports of a pod with a network of its own, not with --net=%s", opts.Network)
	}
	if opts.Detached && spec.Interactive {
		return usagef("--detach leaves no terminal for --interactive")
	}
	return nil
}

// checkNetWord catches --net host, which pflag reads as --net=default and an image called host.
func checkNetWord(nets, words []string) error {
	if len(nets) != 1 || nets[0] != "default" || len(words) == 0 {
		return nil
	}
	switch w := words[0]; w {
	case "host", "none", "default":
		return usagef("%q is taken for an image; a network follows an equals sign: --net=%s", w, w)
	}
	return nil
}
