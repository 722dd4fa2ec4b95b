// Package reference reads the names of images: docker's, with docker's defaults, and those of local files.
// It looks nothing up. Every error has the reason REFERENCE_INVALID.
//
// What it accepts is safe to put into a URL and into a message without further quoting, paths excepted.
package reference
