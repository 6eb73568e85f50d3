// Tests of what is found on the disk at a start: a write that was cut off at each byte, and damage to what was synced.

package entrylog

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// copyOf copies a log as it is on the disk.
func copyOf(t testing.TB, folder string) string {
	t.Helper()
	other := filepath.Join(t.TempDir(), "entries")
	must(t, os.CopyFS(other, os.DirFS(folder)))
	return other
}

func lastFile(t testing.TB, folder string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.seg"))
	must(t, err)
	return slices.Max(paths)
}

func TestAWriteThatWasCutOffIsRemovedAndNothingBeforeIt(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	log, kept := openSmall(t, folder), model{}
	for index := uint64(1); index <= 5; index++ {
		kept[index] = entry(index, 1, 60)
		must(t, log.StoreLog(kept[index]))
	}
	before, err := os.ReadFile(lastFile(t, folder))
	must(t, err)
	start := log.files[0].end
	must(t, log.StoreLogs([]*raft.Log{entry(6, 1, 60), entry(7, 1, 60)}))
	end := log.files[0].end
	after, err := os.ReadFile(lastFile(t, folder))
	must(t, err)
	random := rand.New(rand.NewPCG(7, 7))
	for cut := start; cut < end; cut += 3 {
		for _, rest := range []string{"zeros", "before", "noise"} {
			other := copyOf(t, folder)
			torn := append(slices.Clone(after[:cut]), before[cut:]...)
			if rest == "noise" {
				for at := cut; at < end; at++ {
					torn[at] = byte(random.IntN(256))
				}
			} else if rest == "zeros" {
				// Its end arrived, its beginning did not.
				torn = append(slices.Clone(before[:cut]), after[cut:]...)
				if cut == start {
					continue
				}
			}
			must(t, os.WriteFile(lastFile(t, other), torn, 0o600))
			again := openSmall(t, other)
			if last, _ := again.LastIndex(); last == 7 {
				// Only padding was cut.
				if cut < end-alignment {
					t.Fatalf("cut at %d of %d to %d (%s), it still holds entry 7", cut, start, end, rest)
				}
				continue
			}
			kept.check(t, again, 9)
			left, err := os.ReadFile(lastFile(t, other))
			must(t, err)
			if len(left) != len(after) || len(bytes.Trim(left[start:], "\x00")) > 0 {
				t.Fatalf("cut at %d of %d to %d (%s), its rest is still there", cut, start, end, rest)
			}
			// What comes next is not mixed with the rest of it.
			one := entry(6, 2, 30)
			must(t, again.StoreLog(one))
			must(t, again.Close())
			longer := model{6: one}
			for index, each := range kept {
				longer[index] = each
			}
			longer.check(t, openSmall(t, other), 9)
		}
	}
}

func TestDamageToWhatWasSyncedIsNeverTakenForAWriteThatWasCutOff(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	log, kept := openSmall(t, folder), model{}
	ends := map[string]int64{}
	for index := uint64(1); len(log.files) < 3; index++ {
		kept[index] = entry(index, 1, 400)
		must(t, log.StoreLog(kept[index]))
		last := log.files[len(log.files)-1]
		ends[last.path] = last.end
	}
	must(t, log.StoreLog(entry(100, 1, 40)))
	must(t, log.Close())
	paths, err := filepath.Glob(filepath.Join(folder, "*.seg"))
	must(t, err)
	for at, path := range paths {
		content, err := os.ReadFile(path)
		must(t, err)
		until := ends[path]
		if at < 2 {
			until += headBytes
		}
		for place := int64(0); place < until; place += 17 {
			other := copyOf(t, folder)
			damaged := slices.Clone(content)
			damaged[place] ^= 0x40
			must(t, os.WriteFile(filepath.Join(other, filepath.Base(path)), damaged, 0o600))
			if err := firstError(other, 101, kept); err == nil {
				t.Fatalf("byte %d of %s was changed, and nothing was noticed", place, filepath.Base(path))
			} else if found := (*CorruptError)(nil); !errors.As(err, &found) && err.Error() != unchanged {
				t.Fatalf("byte %d of %s: %v", place, filepath.Base(path), err)
			}
		}
	}
	// A file in the middle is missing, and one that is no log.
	other := copyOf(t, folder)
	must(t, os.Remove(filepath.Join(other, filepath.Base(paths[1]))))
	var missing *CorruptError
	if _, err := open(other, smallSegment); !errors.As(err, &missing) || filepath.Base(missing.Path) != filepath.Base(paths[1]) {
		t.Errorf("a file is missing: %v", err)
	}
	for _, name := range []string{"notes.txt", "7.seg"} {
		other = copyOf(t, folder)
		must(t, os.WriteFile(filepath.Join(other, name), nil, 0o600))
		if _, err := open(other, smallSegment); err == nil || !strings.Contains(err.Error(), name+" is no file of a raft log") {
			t.Errorf("%s, which is not of the log: %v", name, err)
		}
	}
}

// isDamaged reports whether a log cannot be opened because it is damaged.
func isDamaged(t testing.TB, folder string) bool {
	t.Helper()
	log, err := open(folder, smallSegment)
	if err == nil {
		must(t, log.Close())
		return false
	}
	return errors.As(err, new(*CorruptError))
}

func TestAFileThatIsNotTheOneItsNameSaysIsDamage(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	log := openSmall(t, folder)
	must(t, log.StoreLog(entry(1, 1, 40)))
	must(t, log.Close())
	other := copyOf(t, folder)
	must(t, os.Rename(segmentPath(other, 1), segmentPath(other, 2)))
	if !isDamaged(t, other) {
		t.Error("file 1 was taken for file 2")
	}
	for _, size := range []int64{0, segmentHeadBytes - 1, log.files[0].end - alignment} {
		other = copyOf(t, folder)
		must(t, os.Truncate(segmentPath(other, 1), size))
		if !isDamaged(t, other) {
			t.Errorf("a file of %d bytes was taken", size)
		}
	}
}

func TestAFileOfItsHeadAloneIsEmpty(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	must(t, openSmall(t, folder).Close())
	// The power went while the rest of the first write was removed.
	must(t, os.Truncate(segmentPath(folder, 1), segmentHeadBytes))
	log, kept := openSmall(t, folder), model{1: entry(1, 1, 40)}
	must(t, log.StoreLog(kept[1]))
	must(t, log.Close())
	kept.check(t, openSmall(t, folder), 2)
}

func TestTheEndOfAFileThatAnotherFollowsIsNeverCutOff(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	log := openSmall(t, folder)
	var end int64
	for index := uint64(1); len(log.files) < 2; index++ {
		end = log.files[0].end
		must(t, log.StoreLog(entry(index, 1, 400)))
	}
	must(t, log.Close())
	content, err := os.ReadFile(segmentPath(folder, 1))
	must(t, err)
	// The last entries and the seal are gone.
	clear(content[end-alignment*60:])
	must(t, os.WriteFile(segmentPath(folder, 1), content, 0o600))
	if !isDamaged(t, folder) {
		t.Error("entries in the middle of the log are gone, and nothing was noticed")
	}
}

func TestTheHeadOfAFrameProvesThatTheOneBeforeItWasSynced(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "entries")
	log := openSmall(t, folder)
	var places []int64
	for index := uint64(1); index <= 3; index++ {
		places = append(places, log.files[0].end)
		must(t, log.StoreLog(entry(index, 1, 60)))
	}
	must(t, log.Close())
	content, err := os.ReadFile(segmentPath(folder, 1))
	must(t, err)
	// Entry 2 is damaged, and the write of entry 3 was cut off behind its head.
	content[places[1]+headBytes+30] ^= 1
	clear(content[places[2]+headBytes:])
	must(t, os.WriteFile(segmentPath(folder, 1), content, 0o600))
	if !isDamaged(t, folder) {
		t.Error("an entry that was synced was taken for a write that was cut off")
	}
	// A head that says its size and not its checksum is none.
	clear(content[places[1]:])
	torn := frameHead{kind: entriesFrame, from: 2, to: 2}
	torn.encode(content[places[2]:], log.files[0].salt, places[2])
	content[places[2]+36] ^= 1
	must(t, os.WriteFile(segmentPath(folder, 1), content, 0o600))
	kept := model{1: entry(1, 1, 60)}
	kept.check(t, openSmall(t, folder), 3)
}

func TestASealAtTheVeryEndOfAFileIsSuchAHead(t *testing.T) {
	folder := t.TempDir()
	body := appendEntries(make([]byte, headBytes), []*raft.Log{entry(1, 1, 14)})
	file, err := createSegment(folder, 1, startsOver, segmentHeadBytes+int64(len(body))+alignment+headBytes, nil)
	must(t, err)
	_, at, err := file.write(entriesFrame, 1, 1, body)
	must(t, err)
	_, _, err = file.write(sealFrame, 0, 0, make([]byte, headBytes))
	must(t, err)
	must(t, file.file.Truncate(file.end))
	_, err = file.file.WriteAt([]byte{0}, at)
	must(t, err)
	must(t, file.file.Close())
	if !isDamaged(t, folder) {
		t.Error("an entry before a seal was taken for a write that was cut off")
	}
}

func TestAFrameThatDoesNotHoldAnEntrySaysSo(t *testing.T) {
	body := appendEntries(nil, []*raft.Log{entry(4, 1, 40), entry(5, 1, 40)})
	for _, cut := range []int{len(body), len(body) - 1, entryHeadBytes, entryHeadBytes - 1, 0} {
		if err := decodeEntry(body[:cut], 4, 6, new(raft.Log)); err == nil {
			t.Errorf("entry 6 was found in %d of %d bytes", cut, len(body))
		}
	}
	if err := decodeEntry(body[:len(body)-1], 4, 5, new(raft.Log)); err == nil {
		t.Error("an entry was read that is not whole")
	}
}

const unchanged = "padding: everything is as it was written"

// firstError opens a log and reads all of it. Bytes that mean nothing may change.
func firstError(folder string, upTo uint64, kept model) error {
	log, err := open(folder, smallSegment)
	if err != nil {
		return err
	}
	defer log.Close()
	for index := uint64(1); index <= upTo; index++ {
		var found raft.Log
		err := log.GetLog(index, &found)
		expected := kept[index]
		if index == 100 {
			expected = entry(100, 1, 40)
		}
		if expected == nil && errors.Is(err, raft.ErrLogNotFound) {
			continue
		}
		if err != nil {
			if errors.Is(err, raft.ErrLogNotFound) {
				return nil
			}
			return err
		}
		if expected == nil || !isSame(&found, expected) {
			return nil
		}
	}
	return errors.New(unchanged)
}
