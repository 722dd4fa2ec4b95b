// Package tty makes an app's pseudo-terminal inside the app's own devpts, and puts the user's terminal into
// raw mode and back.
package tty
