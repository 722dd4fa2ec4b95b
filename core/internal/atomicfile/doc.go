// Package atomicfile writes small state files so that a reader, and the next boot, sees the old content or the
// new one and nothing between.
//
// It owns the order of the steps: a temporary file in the same directory, write, fsync, rename(2), fsync of the
// directory. It does not own locking: two writers of one name both succeed and the last one wins.
//
// Temporary files are called ".NAME.RANDOM.tmp". One that a killed process left behind is never read by
// anybody; whoever lists a directory skips names that IsTemp knows, and gc removes them.
package atomicfile
