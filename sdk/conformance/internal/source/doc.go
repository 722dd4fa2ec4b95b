// Package source is a registry of one image (the OCI distribution protocol, over loopback) that can be told to
// misbehave, and the image. It records what it was asked.
package source
