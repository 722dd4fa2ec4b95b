package config

import (
	"fmt"
	"strings"
)

// Insecure is the meaning of --insecure-options: each field turns one protection off.
type Insecure struct {
	Image        bool // run images without a required signature
	TLS          bool // accept any certificate of a registry or image server
	HTTP         bool // speak plain http where https is not answered
	PubKey       bool // fetch public keys over plain http
	Capabilities bool // leave an app the whole capability set
	Paths        bool // do not mask or protect paths of /proc and /sys
	Seccomp      bool // no system call filter
	Plugin       bool // run plugins from a directory that root does not own, or of RKT_PLUGIN_PATH
}

// InsecureOptions lists the words with what each turns off, for --help and errors.
func InsecureOptions() [][2]string {
	return [][2]string{
		{"none", "every protection stays on (default)"},
		{"image", "run images without a required signature"},
		{"tls", "accept any certificate of a registry or image server"},
		{"http", "speak plain http where https is not answered"},
		{"pubkey", "fetch public keys over plain http"},
		{"capabilities", "leave apps the whole capability set"},
		{"paths", "neither mask nor protect paths of /proc and /sys"},
		{"seccomp", "no system call filter"},
		{"plugin", "run plugins from untrusted directories and RKT_PLUGIN_PATH"},
		{"all-fetch", "image, tls, http and pubkey"},
		{"all-run", "capabilities, paths and seccomp"},
		{"all", "everything"},
	}
}

// ParseInsecure reads the words of --insecure-options, comma separated or repeated.
func ParseInsecure(words []string) (Insecure, error) {
	var in Insecure
	for _, list := range words {
		for _, w := range strings.Split(list, ",") {
			if err := in.set(strings.TrimSpace(w)); err != nil {
				return in, err
			}
		}
	}
	return in, nil
}

func (in *Insecure) set(word string) error {
	switch word {
	case "", "none":
	case "image":
		in.Image = true
	case "tls":
		in.TLS = true
	case "http":
		in.HTTP = true
	case "ondisk": // of the first rkt's unit files: it had no effect there either, since 1.26
	case "pubkey":
		in.PubKey = true
	case "capabilities":
		in.Capabilities = true
	case "paths":
		in.Paths = true
	case "seccomp":
		in.Seccomp = true
	case "plugin":
		in.Plugin = true
	case "all-fetch":
		in.Image, in.TLS, in.HTTP, in.PubKey = true, true, true, true
	case "all-run":
		in.Capabilities, in.Paths, in.Seccomp = true, true, true
	case "all":
		*in = Insecure{true, true, true, true, true, true, true, true}
	default:
		var known []string
		for _, o := range InsecureOptions() {
			known = append(known, o[0])
		}
		return fmt.Errorf("--insecure-options: %q is none of %s", word, strings.Join(known, ", "))
	}
	return nil
}
