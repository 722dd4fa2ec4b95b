package fetcher

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/ocilayout"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Info says what the plugin is. The same facts are printed by `<binary> manifest`.
type Info struct {
	Name    string // the directory's name: "fetcher-docker"
	Version string // semver
	Vendor  string
	Exec    string // the binary's file name; "rkt-" + Name when empty

	Schemes    []string // "docker"
	MediaTypes []string // foreign image types that Convert takes

	Programs []string // further executables in the plugin's directory
	Requires plugin.Requires
	// ConfigSchema is the JSON schema of the configuration, usually embedded: rkt plugin config check reads it.
	ConfigSchema string
}

// Fetcher is what a plugin must implement.
type Fetcher interface {
	// Fetch fills req.LayoutDir with the image and everything it reaches, less what req.Present holds. It is
	// idempotent, also after a kill, and returns soon when ctx ends.
	Fetch(ctx context.Context, req Request, progress *Progress) (Result, error)
}

// Resolver says what a reference means now without moving blobs. It writes nothing.
type Resolver interface {
	Resolve(ctx context.Context, req ResolveRequest) (Resolution, error)
}

// Signer delivers an image's detached signatures alone, before the image is asked for, so that one whose signer nobody
// trusts is not moved at all. None is no error: Fetch, which follows on the same directory, may still find one. Of
// the image, the result has the media type alone.
type Signer interface {
	Signatures(ctx context.Context, req Request) (Result, error)
}

// Converter makes an OCI image of a foreign one. It is called after verification, in a fresh process without
// any network. req.OutLayoutDir is empty at first; a second call on it reaches the same layout.
type Converter interface {
	Convert(ctx context.Context, req ConvertRequest) (Conversion, error)
}

// Descriptor is the image-spec's, less what rkt does not use.
type Descriptor = ocilayout.Descriptor

// Platform is what the image should run on, in Go's words.
type Platform struct {
	OS           string
	Architecture string
	Variant      string
}

// Access is what the caller allows and knows.
type Access struct {
	AllowHTTP     bool // --insecure-options=http
	InsecureTLS   bool // --insecure-options=tls
	Credentials   []Credential
	SignatureFile string   // a detached signature given by the user
	Signature     *os.File // that file, opened by the caller; nil when core is too old to donate it
	WantSignature bool     // a detached signature must be delivered beside the image, if the format has such
}

// Credential is for one host and must never be sent to another one, nor over plain http.
type Credential struct {
	Host     string // host[:port] as in the reference
	Username string
	Password string
	Token    string // bearer; instead of Username and Password
}

// Credential returns the credential for host, or nil.
func (a Access) Credential(host string) *Credential {
	for i := range a.Credentials {
		if a.Credentials[i].Host == host {
			return &a.Credentials[i]
		}
	}
	return nil
}

// Request is what to fetch.
type Request struct {
	Reference string // with its scheme: "docker://127.0.0.1:5000/x:tag"
	Platform  Platform
	Access    Access
	LayoutDir string // absolute; exists, empty or a former attempt's
	// Source is the file or directory that the reference names (launch.SourcePath: of a vendor's scheme all of
	// SCHEME:///ABSOLUTE/PATH), opened by the caller, who may read what this process may not. Nil when there is none
	// that the caller may read, and in Resolve. A file is read through it, from wherever its offset is (io.SectionReader);
	// a directory is opened as /proc/self/fd/N, but what lies in it must be open to everybody (Unreadable). It belongs to
	// the process: do not close it.
	Source  *os.File
	Present map[string]bool // digests that need not be delivered
}

// OpenRoot opens the directory that the reference names, at path, by Source where there is one. What lies in it must be
// open to everybody: this process is nobody.
func (r *Request) OpenRoot(path string) (*os.Root, error) {
	at := path
	if r.Source != nil {
		at = fmt.Sprintf("/proc/self/fd/%d", r.Source.Fd())
	}
	root, err := os.OpenRoot(at)
	if errors.Is(err, unix.ENOTDIR) {
		return nil, ImageInvalid("%s: not a directory", path)
	}
	return root, Unreadable(path, err)
}

// Result is what was fetched.
type Result struct {
	Image      Descriptor        // in index.json: a manifest, or a blob of a foreign type
	Canonical  string            // the full name: "docker://docker.io/library/x:latest"
	Signatures []Descriptor      // detached signature blobs
	Labels     map[string]string // what the reference asked for (appc labels)
}

// ResolveRequest is a reference to resolve.
type ResolveRequest struct {
	Reference string
	Platform  Platform
	Access    Access
}

// Resolution is what a reference means now.
type Resolution struct {
	Image     Descriptor   // the manifest for the platform
	Canonical string       // defaults filled in, digest kept
	Blobs     []Descriptor // config and layers, when the manifest is at hand
}

// ConvertRequest is a verified image of a foreign type.
type ConvertRequest struct {
	LayoutDir    string // the source, read-only
	Image        Descriptor
	OutLayoutDir string
	Platform     Platform
}

// Conversion is the OCI image.
type Conversion struct {
	Image   Descriptor  // OCI manifest in OutLayoutDir's index.json
	App     *Descriptor // what the OCI config cannot say (proto/ociapp), or nil
	Name    string      // the image's own name, when the format has one
	Version string
}
