// Package fence holds no code: its tests are the import rules of the whole repository, each with its reason.
//
// Imports go one way, and each heavy dependency has one door. A rule that fails prints who broke it, through
// whom, and why the rule is there.
package fence
