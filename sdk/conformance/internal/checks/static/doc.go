// Package static holds the checks of level static: what can be said of a plugin's directory without running anything.
package static
