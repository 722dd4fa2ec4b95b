package e2e

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
)

// discovery is an appc server on loopback, over plain http, for one script: it answers ?ac-discovery=1 with a
// template that leads to the files of dir, by the last element of the image's name.
func discovery(dir string) (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = l.Addr().String()
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
