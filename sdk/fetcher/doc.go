// Package fetcher is what a plugin that fetches images is built on: implement Fetcher and call Main.
//
//	func main() {
//		fetcher.Main(fetcher.Info{Name: "fetcher-x", Version: version, Schemes: []string{"x"}}, x{})
//	}
//
// A fetcher fills an OCI image layout (sdk/ocilayout writes them) in a directory that rkt made. It runs as an
// unprivileged user without capabilities and can write nowhere else. rkt digests every blob again, decides what
// is trusted, and keeps the images: a fetcher has no policy and no state. After SIGKILL at any moment the same
// call on the same directory must reach the same layout.
//
// Optional abilities are further interfaces: Resolver (capability "resolve"), Signer ("signatures"),
// Converter ("convert"), plugin.Configurer, plugin.Prober.
package fetcher
