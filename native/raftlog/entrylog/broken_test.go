// Tests that a log which failed to write takes no more writes, since what the failed one left in the file is not known;
// and that a closed one takes none.

package entrylog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

func TestNothingIsWrittenAfterAFailedWrite(t *testing.T) {
	log := openSmall(t, t.TempDir())
	for index := uint64(1); index <= 3; index++ {
		must(t, log.StoreLog(entry(index, 1, 64)))
	}
	last := log.files[len(log.files)-1]
	whole := last.file
	failing, err := os.Open(os.DevNull)
	must(t, err)
	must(t, failing.Close())
	last.file = failing
	if err := log.StoreLog(entry(4, 1, 64)); err == nil {
		t.Fatal("a write to a closed file did not fail")
	}
	last.file = whole
	for what, err := range map[string]error{
		"an entry": log.StoreLog(entry(4, 1, 64)), "a removal": log.DeleteRange(1, 1), "a rewrite": log.Rewrite(),
	} {
		if err == nil || !strings.Contains(err.Error(), "earlier error") {
			t.Errorf("%s after a failed write: %v", what, err)
		}
	}
	for index := uint64(1); index <= 3; index++ {
		var found raft.Log
		must(t, log.GetLog(index, &found))
		if !isSame(&found, entry(index, 1, 64)) {
			t.Errorf("entry %d is another one", index)
		}
	}
	if err := log.GetLog(4, new(raft.Log)); err == nil {
		t.Error("the entry of the failed write is there")
	}
}

func TestAnEntryWhoseSyncFailedIsNotTaken(t *testing.T) {
	log := openSmall(t, t.TempDir())
	must(t, log.StoreLog(entry(1, 1, 64)))
	last := log.files[0]
	whole := last.file
	// It takes every write, and cannot be synced.
	unsynced, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must(t, err)
	defer unsynced.Close()
	last.file = unsynced
	if err := log.StoreLog(entry(2, 1, 64)); err == nil {
		t.Error("an entry was acknowledged that is not on the disk")
	}
	last.file = whole
	if index, err := log.LastIndex(); index != 1 || err != nil {
		t.Errorf("the log ends at %d (%v)", index, err)
	}
}

func TestARewriteThatFailsBeforeItsFileIsWholeChangesNothing(t *testing.T) {
	folder := t.TempDir()
	log, kept := openSmall(t, folder), model{}
	for index := uint64(1); index <= 3; index++ {
		kept[index] = entry(index, 1, 64)
		must(t, log.StoreLog(kept[index]))
	}
	whole := log.files[0].file
	closed, err := os.Open(os.DevNull)
	must(t, err)
	must(t, closed.Close())
	log.files[0].file = closed
	if err := log.Rewrite(); err == nil {
		t.Fatal("entries were copied from a closed file")
	}
	log.files[0].file = whole
	kept[4] = entry(4, 1, 64)
	must(t, log.StoreLog(kept[4]))
	kept.check(t, log, 5)
	// Here the name of the new file is taken, so that it is not known which of the two a start would find.
	must(t, os.Mkdir(segmentPath(folder, 2), 0o700))
	if err := log.Rewrite(); err == nil {
		t.Fatal("a folder was replaced by a file")
	}
	if err := log.StoreLog(entry(5, 1, 64)); err == nil || !strings.Contains(err.Error(), "earlier error") {
		t.Errorf("a write after that: %v", err)
	}
}

func TestAClosedLogSaysSo(t *testing.T) {
	folder := t.TempDir()
	log := openSmall(t, folder)
	must(t, log.StoreLog(entry(1, 1, 64)))
	must(t, log.GetLog(1, new(raft.Log)))
	must(t, log.DeleteRange(1, 1))
	must(t, log.Close())
	if err := log.Rewrite(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Rewrite of a closed log: %v", err)
	}
	_, first := log.FirstIndex()
	_, last := log.LastIndex()
	for what, err := range map[string]error{
		"FirstIndex": first, "LastIndex": last, "GetLog": log.GetLog(1, new(raft.Log)), "StoreLog": log.StoreLog(entry(2, 1, 64)),
		"Close": log.Close(),
	} {
		if what != "Close" && !errors.Is(err, os.ErrClosed) || what == "Close" && err != nil {
			t.Errorf("%s of a closed log: %v", what, err)
		}
	}
	if files, err := os.ReadDir(folder); err != nil || len(files) != 1 || files[0].Name() != filepath.Base(segmentPath("", 1)) {
		t.Errorf("a closed log wrote files: %v (%v)", files, err)
	}
}
