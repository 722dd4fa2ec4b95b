package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/store"
)

func (a *app) imageCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "image COMMAND",
		Short: "list, show and remove stored images",
		Args:  commandArgs,
		RunE:  func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(a.imageListCmd(), a.imageRmCmd(), a.imageCatManifestCmd(), a.imageGCCmd(), a.imageVerifyCmd())
	return c
}

// imageJSON is an image in image list. Times are nanoseconds since 1970, size is in bytes.
type imageJSON struct {
	ID         string   `json:"id" jsonschema:"algorithm and digest, as in sha256-1f2e"`
	Name       string   `json:"name" jsonschema:"the first of names, without aci://; empty when it has none"`
	Names      []string `json:"names"`
	Manifest   string   `json:"manifest" jsonschema:"digest of the OCI manifest"`
	ImportTime *int64   `json:"import_time,omitempty" jsonschema:"nanoseconds since 1970"`
	LastUsed   *int64   `json:"last_used_time,omitempty" jsonschema:"nanoseconds since 1970"`
	Size       int64    `json:"size" jsonschema:"bytes of its layers; shared ones count in each image"`
}

func (a *app) imageListCmd() *cobra.Command {
	var full, noLegend bool
	var form format
	c := &cobra.Command{
		Use:   "list [FLAGS]",
		Short: "list stored images",
		Long: `List stored images, the oldest import first. NAME is the first of an image's names: --format=json has all of them. SIZE
is what the image's layers take; shared layers count in each.`,
		Args: noArgs,
	}
	c.Flags().BoolVar(&full, "full", false, "whole IDs and wall-clock times")
	c.Flags().BoolVar(&noLegend, "no-legend", false, "no header")
	addFormat(c, &form)
	c.RunE = func(*cobra.Command, []string) error {
		if err := form.check(); err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		imgs, listErr := e.Images()
		out, rows := imageRows(imgs, full)
		if form != "" {
			if err := form.print(a.stdout, out); err != nil {
				return err
			}
			return listErr
		}
		var header []string
		if !noLegend {
			header = imageHeader()
		}
		if err := table(a.stdout, header, rows); err != nil {
			return err
		}
		return listErr
	}
	return c
}

func imageHeader() []string { return []string{"ID", "NAME", "SIZE", "IMPORT TIME", "LAST USED"} }

// imageRows are the images for machines and for people.
func imageRows(imgs []*store.Image, full bool) ([]imageJSON, [][]string) {
	out, rows := []imageJSON{}, [][]string{}
	for _, i := range imgs {
		out = append(out, imageJSON{i.ID, imageName(i), list(i.Names), i.Manifest, unixNano(i.Imported), unixNano(i.LastUsed), i.Size})
		rows = append(rows, []string{shortID(i.ID, full), imageName(i), bytesize(i.Size), ago(i.Imported, full), ago(i.LastUsed, full)})
	}
	return out, rows
}

func imageName(i *store.Image) string {
	if len(i.Names) == 0 {
		return ""
	}
	return strings.TrimPrefix(i.Names[0], "aci://")
}

func (a *app) imageRmCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "rm IMAGE...",
		Short: "remove stored images",
		Long:  `Remove images by name or ID. Pods that use one go on: layers stay until the last such pod is gone.`,
		Args:  someImages,
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := a.engine()
			if err != nil {
				return err
			}
			var last error
			for _, name := range args {
				id, err := e.RemoveImage(name)
				if err != nil {
					fmt.Fprintf(a.stderr, "image rm: %s\n", quoteControl(err.Error()))
					last = &shownError{err}
					continue
				}
				fmt.Fprintf(a.stdout, "removed %s\n", quoteControl(id))
			}
			return last
		},
	}
}

func (a *app) imageCatManifestCmd() *cobra.Command {
	var pretty bool
	c := &cobra.Command{
		Use:   "cat-manifest IMAGE",
		Short: "print an image's OCI manifest",
		Args:  someImages,
	}
	c.Flags().BoolVar(&pretty, "pretty-print", true, "indent")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef("exactly one image is needed")
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		b, err := e.ImageManifest(args[0])
		if err != nil {
			return err
		}
		return a.rawJSON(b, pretty)
	}
	return c
}

// imageGCJSON is what image gc has removed.
type imageGCJSON struct {
	Images []string `json:"images" jsonschema:"IDs"`
	Layers []string `json:"layers" jsonschema:"digests of uncompressed layers"`
	Blobs  []string `json:"blobs" jsonschema:"digests of manifests and configs"`
}

func (a *app) imageGCCmd() *cobra.Command {
	var grace time.Duration
	var form format
	c := &cobra.Command{
		Use:   "gc [FLAGS]",
		Short: "remove images that nobody uses, and layers that no image or pod refers to",
		Args:  noArgs,
	}
	c.Flags().DurationVar(&grace, "grace-period", 24*time.Hour, "keep images used within this `time`")
	addFormat(c, &form)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := form.check(); err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		removed, err := e.ImageGC(cmd.Context(), grace)
		if removed == nil {
			return err
		}
		if form != "" {
			return errors.Join(form.print(a.stdout, imageGCJSON{list(removed.Images), list(removed.Layers), list(removed.Blobs)}), err)
		}
		for _, id := range removed.Images {
			fmt.Fprintf(a.stdout, "removed %s\n", id)
		}
		if n := len(removed.Layers); n > 0 {
			fmt.Fprintf(a.stdout, "removed %s\n", plural(n, "unused layer"))
		}
		return err
	}
	return c
}

func (a *app) imageVerifyCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "verify IMAGE...",
		Short: "check stored images against their digests",
		Args:  someImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := a.engine()
			if err != nil {
				return err
			}
			for _, name := range args {
				id, err := e.VerifyImage(cmd.Context(), name)
				if err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "verified %s\n", id)
			}
			return nil
		},
	}
}

func someImages(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("no image given (rkt image list shows them)")
	}
	return nil
}
