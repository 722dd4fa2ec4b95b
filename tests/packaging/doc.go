// Package packaging tests what `make packages` makes: here the packages themselves, what is in them and what they say
// of each other; in `run`, with real dpkg and rpm in clean roots, what becomes of pods and files.
package packaging
