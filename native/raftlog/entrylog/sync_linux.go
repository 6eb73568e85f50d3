// The disk on Linux: room is reserved ahead, and a sync writes no times.

package entrylog

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData returns when what was written to the file is on the disk.
func syncData(file *os.File) error {
	for {
		err := unix.Fdatasync(int(file.Fd()))
		if err != unix.EINTR {
			return err
		}
	}
}

// reserve makes the file that long. Where the system can, the room on the disk is taken at once; where the disk is
// full, the write that needs it fails.
func reserve(file *os.File, size int64) error {
	if unix.Fallocate(int(file.Fd()), 0, 0, size) == nil {
		return nil
	}
	return file.Truncate(size)
}
