// Tests that the room of a file is taken when it is made, so that a disk that is full refuses the file, not a write.

package entrylog

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheRoomOfAFileIsTakenAtOnce(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	must(t, os.MkdirAll(folder, 0o700))
	probe, err := os.Create(filepath.Join(t.TempDir(), "probe"))
	must(t, err)
	defer probe.Close()
	if unix.Fallocate(int(probe.Fd()), 0, 0, smallSegment) != nil {
		t.Skip("this file system cannot take room before it is written to")
	}
	const size = 64 * smallSegment
	log, err := open(folder, size)
	must(t, err)
	defer log.Close()
	info, err := os.Stat(segmentPath(folder, 1))
	must(t, err)
	if taken := info.Sys().(*syscall.Stat_t).Blocks * 512; info.Size() != size || taken < size {
		t.Errorf("it has %d bytes and takes %d on the disk", info.Size(), taken)
	}
}
