// Tests that a log which failed to write takes no more writes: what the failed one left in the file is not known.

package entrylog

import (
	"os"
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
