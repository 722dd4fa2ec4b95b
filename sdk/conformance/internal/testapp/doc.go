// Package testapp is the program that runs in the pods of the kit. It does what its arguments say, one after the other,
// and reports what it sees of its surroundings as one JSON line. It is linked statically and needs nothing of its root.
package testapp
