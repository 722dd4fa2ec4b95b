package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// initramfs makes the first root file system: busybox, files/init and the modules that reach the second.
func (k kernel) initramfs(ctx context.Context) ([]byte, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	var c cpio
	for _, d := range []string{"bin", "modules"} {
		c.add(d, 0o040755, nil)
	}
	if err := c.file("bin/busybox", 0o100755, busybox); err != nil {
		return nil, err
	}
	init, err := files.ReadFile("files/init")
	if err != nil {
		return nil, err
	}
	c.add("init", 0o100755, init)
	order, err := k.loadOrder(ctx, "virtio_pci", "virtio_blk", "virtio_rng", "crc32c_generic", "ext4", "9pnet_virtio", "9p")
	if err != nil {
		return nil, err
	}
	var names strings.Builder
	for _, m := range order {
		name := filepath.Base(m)
		if err := c.module(ctx, name, m); err != nil {
			return nil, err
		}
		fmt.Fprintln(&names, strings.TrimSuffix(strings.TrimSuffix(name, ".xz"), ".zst"))
	}
	c.add("modules/order", 0o100644, []byte(names.String()))
	return c.finish()
}

// cpio writes the "newc" format, which is all that the kernel unpacks.
type cpio struct {
	buf bytes.Buffer
	ino int
}

func (c *cpio) add(name string, mode uint32, data []byte) {
	c.ino++
	fmt.Fprintf(&c.buf, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	c.buf.WriteString(name + "\x00")
	c.pad()
	c.buf.Write(data)
	c.pad()
}

func (c *cpio) pad() { c.buf.Write(make([]byte, -c.buf.Len()&3)) }

func (c *cpio) file(name string, mode uint32, from string) error {
	b, err := os.ReadFile(from)
	if err == nil {
		c.add(name, mode, b)
	}
	return err
}

// module adds a module, uncompressed: busybox's insmod takes no other.
func (c *cpio) module(ctx context.Context, name, from string) error {
	var cmd *exec.Cmd
	switch filepath.Ext(name) {
	case ".xz":
		cmd = exec.CommandContext(ctx, "xz", "-dc", from)
	case ".zst":
		cmd = exec.CommandContext(ctx, "zstd", "-dc", from)
	default:
		return c.file("modules/"+name, 0o100644, from)
	}
	out, err := tool(cmd)
	if err == nil {
		c.add("modules/"+strings.TrimSuffix(name, filepath.Ext(name)), 0o100644, []byte(out))
	}
	return err
}

func (c *cpio) finish() ([]byte, error) {
	c.add("TRAILER!!!", 0, nil)
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(c.buf.Bytes()); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
