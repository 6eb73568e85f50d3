// Tests of the entry log: against a plain model with starts in between, with ends in each step of a change, and with
// readers beside writers.

package entrylog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

const smallSegment = 4096

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openSmall(t testing.TB, folder string) *Log {
	t.Helper()
	log, err := open(folder, smallSegment)
	must(t, err)
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func entry(index, term uint64, size int) *raft.Log {
	data := bytes.Repeat([]byte{byte(index), byte(term)}, size/2)
	found := &raft.Log{Index: index, Term: term, Type: raft.LogType(index % 3), Data: data}
	if index%5 == 0 {
		found.Extensions = []byte(fmt.Sprint("extension of ", index))
	}
	if index%2 == 0 {
		found.AppendedAt = time.Unix(1_700_000_000, int64(index))
	}
	return found
}

func isSame(one, other *raft.Log) bool {
	return one.Index == other.Index && one.Term == other.Term && one.Type == other.Type &&
		bytes.Equal(one.Data, other.Data) && bytes.Equal(one.Extensions, other.Extensions) &&
		one.AppendedAt.Equal(other.AppendedAt)
}

// model is what the log should hold.
type model map[uint64]*raft.Log

func (m model) check(t testing.TB, log *Log, upTo uint64) {
	t.Helper()
	var first, last uint64
	for index := range m {
		last = max(last, index)
		if first == 0 || index < first {
			first = index
		}
	}
	foundFirst, err := log.FirstIndex()
	must(t, err)
	foundLast, err := log.LastIndex()
	must(t, err)
	if foundFirst != first || foundLast != last {
		t.Fatalf("it has %d to %d, expected %d to %d", foundFirst, foundLast, first, last)
	}
	for index := uint64(1); index <= upTo; index++ {
		var found raft.Log
		err := log.GetLog(index, &found)
		if expected, there := m[index]; !there && !errors.Is(err, raft.ErrLogNotFound) {
			t.Fatalf("entry %d: %v, expected that it is not found", index, err)
		} else if there && (err != nil || !isSame(&found, expected)) {
			t.Fatalf("entry %d is %+v (%v), expected %+v", index, found, err, expected)
		}
	}
}

func TestTheLogIsLikeAPlainModel(t *testing.T) {
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 1))
		folder := filepath.Join(t.TempDir(), "entries")
		log, kept := openSmall(t, folder), model{}
		next := uint64(1)
		for step := range 80 {
			switch kind := random.IntN(20); {
			case kind < 11:
				var batch []*raft.Log
				for range 1 + random.IntN(6) {
					if random.IntN(40) == 0 {
						next += uint64(random.IntN(5))
					}
					one := entry(next, seed+uint64(step), random.IntN(900))
					batch, kept[next] = append(batch, one), one
					next++
				}
				must(t, log.StoreLogs(batch))
			case kind < 14 && next > 1:
				from := 1 + random.Uint64N(next)
				to := from + random.Uint64N(10)
				if random.IntN(2) == 0 {
					from = 1
				} else if random.IntN(2) == 0 {
					to = next
				}
				must(t, log.DeleteRange(from, to))
				for index := from; index <= to; index++ {
					delete(kept, index)
				}
				if to >= next-1 {
					next = max(1, from)
				}
			case kind == 15 && next > 3:
				// Over an entry that is there.
				one := entry(next-2, 99, 40)
				must(t, log.StoreLog(one))
				kept[next-2] = one
			case kind == 16:
				must(t, log.Rewrite())
			case kind == 17:
				must(t, log.Close())
				log = openSmall(t, folder)
			}
			kept.check(t, log, next+3)
		}
		must(t, log.Close())
		kept.check(t, openSmall(t, folder), next+3)
	}
}

func TestAnEntryWithoutDataIsKept(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	log, kept := openSmall(t, folder), model{}
	kept[1], kept[2], kept[3] = entry(1, 1, 0), entry(2, 1, 30), entry(3, 1, 0)
	must(t, log.StoreLogs([]*raft.Log{kept[1], kept[2], kept[3]}))
	kept.check(t, log, 4)
	must(t, log.Close())
	kept.check(t, openSmall(t, folder), 4)
}

func TestAnEntryReplacesTheLastOne(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	log, kept := openSmall(t, folder), model{}
	for index := uint64(1); index <= 3; index++ {
		kept[index] = entry(index, 1, 40)
		must(t, log.StoreLog(kept[index]))
	}
	for term := range uint64(2) {
		kept[3] = entry(3, 2+term, 50)
		must(t, log.StoreLog(kept[3]))
		kept.check(t, log, 4)
	}
	// What was replaced is not copied.
	must(t, log.Rewrite())
	must(t, log.Close())
	log = openSmall(t, folder)
	kept.check(t, log, 4)
	must(t, log.DeleteRange(3, 3))
	delete(kept, 3)
	kept.check(t, log, 4)
	must(t, log.Close())
	kept.check(t, openSmall(t, folder), 4)
}

func TestARemovalOfNothingWritesNothing(t *testing.T) {
	log := openSmall(t, filepath.Join(t.TempDir(), "entries"))
	must(t, log.DeleteRange(1, 9))
	for index := uint64(3); index <= 5; index++ {
		must(t, log.StoreLog(entry(index, 1, 40)))
	}
	end := log.files[0].end
	must(t, log.DeleteRange(1, 2))
	must(t, log.DeleteRange(6, 9))
	if log.files[0].end != end {
		t.Errorf("%d bytes were written", log.files[0].end-end)
	}
}

func TestNothingIsWrittenBehindASeal(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	log, kept := openSmall(t, folder), model{}
	kept[1] = entry(1, 1, 40)
	must(t, log.StoreLog(kept[1]))
	// The process ended before it made the next file.
	_, _, err := log.files[0].write(sealFrame, 0, 0, make([]byte, headBytes))
	must(t, err)
	must(t, log.Close())
	log = openSmall(t, folder)
	kept.check(t, log, 3)
	kept[2] = entry(2, 1, 40)
	must(t, log.StoreLog(kept[2]))
	must(t, log.Close())
	kept.check(t, openSmall(t, folder), 3)
}

func TestRewriteLeavesNoTraceOfWhatWasRemoved(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	log, kept := openSmall(t, folder), model{}
	secret := []byte("a secret that was written by mistake")
	must(t, log.StoreLog(&raft.Log{Index: 1, Term: 1, Data: secret}))
	for index := uint64(2); index <= 60; index++ {
		kept[index] = entry(index, 1, 300)
		must(t, log.StoreLog(kept[index]))
	}
	must(t, log.DeleteRange(1, 1))
	if !holds(t, folder, secret) {
		t.Fatal("the text is not where this test removes it")
	}
	must(t, log.Rewrite())
	if holds(t, folder, secret) {
		t.Error("the text is still on the disk")
	}
	kept.check(t, log, 62)
	kept[61] = entry(61, 1, 300)
	must(t, log.StoreLog(kept[61]))
	must(t, log.Close())
	kept.check(t, openSmall(t, folder), 62)
}

func holds(t testing.TB, folder string, text []byte) bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*"))
	must(t, err)
	return slices.ContainsFunc(paths, func(path string) bool {
		content, err := os.ReadFile(path)
		must(t, err)
		return bytes.Contains(content, text)
	})
}

func TestARewriteThatEndsHalfwayChangesNothing(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	log, kept := openSmall(t, folder), model{}
	for index := uint64(1); index <= 30; index++ {
		kept[index] = entry(index, 1, 300)
		must(t, log.StoreLog(kept[index]))
	}
	before := copyOf(t, folder)
	must(t, log.DeleteRange(1, 4))
	must(t, log.Rewrite())
	must(t, log.Close())
	newest := lastFile(t, folder)
	// The new file is there, and the old ones were not deleted.
	both := copyOf(t, before)
	content, err := os.ReadFile(newest)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(both, filepath.Base(newest)), content, 0o600))
	for index := uint64(1); index <= 4; index++ {
		delete(kept, index)
	}
	kept.check(t, openSmall(t, both), 32)
	if paths, _ := filepath.Glob(filepath.Join(both, "*")); len(paths) != 1 {
		t.Errorf("left: %v", paths)
	}
	// The new file is not whole.
	partial := copyOf(t, before)
	must(t, os.WriteFile(filepath.Join(partial, filepath.Base(newest)+temporarySuffix), content[:900], 0o600))
	for index := uint64(1); index <= 4; index++ {
		kept[index] = entry(index, 1, 300)
	}
	kept.check(t, openSmall(t, partial), 32)
}

func TestFilesWithoutEntriesAreDeletedFromTheFront(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	log, kept := openSmall(t, folder), model{}
	next := uint64(1)
	for range 400 {
		kept[next] = entry(next, 1, 300)
		must(t, log.StoreLog(kept[next]))
		if next > 20 {
			must(t, log.DeleteRange(next-20, next-20))
			delete(kept, next-20)
		}
		next++
	}
	if paths, _ := filepath.Glob(filepath.Join(folder, "*")); len(paths) > 5 {
		t.Errorf("%d files for 20 entries", len(paths))
	}
	kept.check(t, log, next)
	must(t, log.Close())
	kept.check(t, openSmall(t, folder), next)
}

func TestAFrameLargerThanAFileHasOneOfItsOwn(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	log, kept := openSmall(t, folder), model{}
	for index, size := range []int{100, 5 * smallSegment, 100, smallSegment, 3} {
		one := entry(uint64(index+1), 1, size)
		kept[one.Index] = one
		must(t, log.StoreLog(one))
	}
	must(t, log.Close())
	kept.check(t, openSmall(t, folder), 7)
}

func TestAFailedWriteEndsTheWrites(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	log := openSmall(t, folder)
	must(t, log.StoreLog(entry(1, 1, 30)))
	must(t, log.files[0].file.Close())
	if err := log.StoreLog(entry(2, 1, 30)); err == nil {
		t.Fatal("a write to a closed file was reported as done")
	}
	if last, _ := log.LastIndex(); last != 1 {
		t.Errorf("an entry that was not written is shown: %d", last)
	}
	for _, err := range []error{log.StoreLog(entry(2, 1, 30)), log.DeleteRange(1, 1), log.Rewrite()} {
		if err == nil {
			t.Error("the log takes changes after a failed write")
		}
	}
	again := openSmall(t, folder)
	if last, _ := again.LastIndex(); last != 1 {
		t.Errorf("after a start: %d", last)
	}
	must(t, again.Close())
	if err := again.StoreLog(entry(2, 1, 30)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	must(t, again.Close())
}

func TestReadersBesideWriters(t *testing.T) {
	log := openSmall(t, filepath.Join(t.TempDir(), "entries"))
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				first, err := log.FirstIndex()
				must(t, err)
				last, err := log.LastIndex()
				must(t, err)
				for index := first; index <= last; index++ {
					var found raft.Log
					if err := log.GetLog(index, &found); err != nil && !errors.Is(err, raft.ErrLogNotFound) {
						t.Errorf("entry %d: %v", index, err)
						return
					} else if err == nil && !isSame(&found, entry(index, 1, 200)) {
						t.Errorf("entry %d is %+v", index, found)
						return
					}
				}
			}
		})
	}
	for index := uint64(1); index <= 240; index++ {
		must(t, log.StoreLog(entry(index, 1, 200)))
		if index%50 == 0 {
			must(t, log.DeleteRange(index-49, index-25))
		}
		if index%120 == 0 {
			must(t, log.Rewrite())
		}
	}
	close(done)
	readers.Wait()
}
