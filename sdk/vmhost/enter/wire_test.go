package enter

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pair is a connection between a client and the supervisor.
func pair(t testing.TB) (client, server *net.UnixConn) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr)); err != nil {
		t.Fatal(err)
	}
	if server, err = l.AcceptUnix(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func farEnds(t testing.TB) (files [streams]*os.File) {
	t.Helper()
	for i := range files {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		files[i] = w
	}
	return files
}

func TestRequest(t *testing.T) {
	for _, command := range [][]string{nil, {"/bin/sh", "-c", "echo \"\n\""}, {strings.Repeat("x", 300<<10)}} {
		client, server := pair(t)
		sent := &Request{App: "web", Command: command, TTY: true, Term: "xterm"}
		go Send(client, sent, farEnds(t))
		got, files, err := Receive(server)
		for _, f := range files {
			defer f.Close()
		}
		if err != nil || len(files) != streams || got.App != "web" || !got.TTY || strings.Join(got.Command, " ") != strings.Join(command, " ") {
			t.Errorf("command of %d words: %+v, %d descriptors, %v", len(command), got, len(files), err)
		}
	}
	if err := Send(nil, &Request{Command: []string{strings.Repeat("x", maxRequest)}}, [streams]*os.File{}); err == nil {
		t.Error("a request of a MiB is sent")
	}
}

// TestBadRequests has clients that send what no client sends. Descriptors are handed to the caller all the same.
func TestBadRequests(t *testing.T) {
	for name, send := range map[string]func(c *net.UnixConn) error{
		"nothing": func(c *net.UnixConn) error { return c.Close() },
		"no end":  func(c *net.UnixConn) error { _, err := c.Write([]byte("{")); c.Close(); return err },
		"no JSON": func(c *net.UnixConn) error { _, err := c.Write([]byte("hello\n")); return err },
		"no descriptors": func(c *net.UnixConn) error {
			_, err := c.Write([]byte("{\"app\":\"a\"}\n"))
			return err
		},
		"one descriptor": func(c *net.UnixConn) error {
			_, _, err := c.WriteMsgUnix([]byte("{\"app\":\"a\"}\n"), unix.UnixRights(0), nil)
			return err
		},
		"too long": func(c *net.UnixConn) error {
			chunk := make([]byte, 64<<10)
			for range 2 * maxRequest / len(chunk) {
				if _, err := c.Write(chunk); err != nil {
					return nil // it was cut off
				}
			}
			return nil
		},
	} {
		client, server := pair(t)
		done := make(chan error, 1)
		go func() { done <- send(client) }()
		r, files, err := Receive(server)
		for _, f := range files {
			f.Close()
		}
		server.Close()
		if err == nil {
			t.Errorf("%s: taken as %+v", name, r)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
