// The disk on macOS: Sync is F_FULLFSYNC there.

//go:build !linux

package entrylog

import "os"

// syncData returns when what was written to the file is on the disk.
func syncData(file *os.File) error { return file.Sync() }

// reserve makes the file that long.
func reserve(file *os.File, size int64) error { return file.Truncate(size) }
