// Tests of what is found on the disk at a start: a write that was cut off at each byte, and damage to what was synced.

package entrylog

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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
	if _, err := open(other, smallSegment); err == nil || !errors.As(err, new(*CorruptError)) {
		t.Errorf("a file is missing: %v", err)
	}
	other = copyOf(t, folder)
	must(t, os.WriteFile(filepath.Join(other, "notes.txt"), nil, 0o600))
	if _, err := open(other, smallSegment); err == nil {
		t.Error("a file that is not of the log was taken")
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
