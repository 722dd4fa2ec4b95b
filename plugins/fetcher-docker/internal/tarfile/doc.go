// Package tarfile finds files in a tar archive that may be compressed as a whole, without unpacking it: one pass
// makes an index, later reads go to the place (plain tar) or pass over the stream again (compressed). Nothing is
// spooled to disk, and memory is bounded whatever the archive claims.
//
// The archive is hostile: entries, links, documents and decompression windows are counted. Links are resolved
// among the names of the archive, so they lead nowhere else. Errors have the reason IMAGE_INVALID.
package tarfile
