// Package report is what a run of the suite found, and its three forms for readers: text for people, JSON for tools,
// JUnit's XML for CI systems. It does not run anything.
package report
