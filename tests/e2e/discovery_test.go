package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// discovery is an appc server on loopback, over plain http, for one script: it answers ?ac-discovery=1 with a
// template that leads to the files of dir, by the last element of the image's name. What was asked for is in
// dir/requests, a path a line.
func discovery(dir string) (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = l.Addr().String()
	var mu sync.Mutex
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if f, err := os.OpenFile(filepath.Join(dir, "requests"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); err == nil {
			fmt.Fprintln(f, r.URL.Path)
			f.Close()
		}
		mu.Unlock()
		if r.URL.Query().Get("ac-discovery") == "1" {
			fmt.Fprintf(w, `<html><head><meta name="ac-discovery" content="127.0.0.1 http://%[1]s/files/{name}-{version}.{ext}">
<meta name="ac-discovery-pubkeys" content="127.0.0.1 http://%[1]s/files/pubkey.asc"></head></html>`, addr)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/files/") {
			http.ServeFile(w, r, filepath.Join(dir, filepath.Base(r.URL.Path)))
			return
		}
		http.NotFound(w, r)
	})}
	go srv.Serve(l)
	return addr, func() { srv.Close() }, nil
}
