package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/store"
)

func (a *app) fetchCmd() *cobra.Command {
	var full bool
	var policy, signature string
	var form format
	c := &cobra.Command{
		Use:   "fetch [FLAGS] IMAGE...",
		Short: "fetch images into the store",
		Long:  `Fetch and verify images, and unpack their layers. Prints each image's ID.`,
		Example: `  rkt fetch docker://alpine
  rkt fetch ./app.aci --signature=app.aci.asc`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("no image given")
			}
			if signature != "" && len(args) > 1 {
				return usagef("--signature belongs to one image")
			}
			return nil
		},
	}
	f := c.Flags()
	f.BoolVar(&full, "full", false, "print whole IDs")
	f.StringVar(&policy, "pull-policy", "update", "when to ask an image's origin: never, new (if not stored) or update")
	f.StringVar(&signature, "signature", "", "`file` with the image's detached signature")
	addFormat(c, &form)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := form.check(); err != nil {
			return err
		}
		p, err := parsePolicy(policy)
		if err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		var fetched []*store.Image
		for _, name := range args {
			img, err := e.Fetch(cmd.Context(), engine.FetchSpec{Image: name, Signature: signature, Policy: p})
			a.endProgress()
			if err != nil {
				return err
			}
			if fetched = append(fetched, img); form == "" {
				fmt.Fprintln(a.stdout, shortID(img.ID, full))
			}
		}
		if form != "" {
			out, _ := imageRows(fetched, full)
			return form.print(a.stdout, out)
		}
		return nil
	}
	return c
}

// shortID keeps the algorithm and 12 hex digits, which is what people compare by eye.
func shortID(id string, full bool) string {
	const short = len("sha256-") + 12
	if full || len(id) <= short {
		return id
	}
	return id[:short]
}
