// Tests of one received copy in a folder of its own: what names it, what becomes of it at an install, and what a folder
// holds afterwards.

package raftlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
)

// installing is a store of which only Install is used.
type installing struct {
	StateMachine
	attempts int
	install  func() (Applied, error)
}

func (s *installing) Install(context.Context, string, string, uint64, uint64) (Applied, error) {
	s.attempts++
	return s.install()
}

// snapshotsIn returns the snapshots of a folder. No write of theirs may fail.
func snapshotsIn(t *testing.T, store StateMachine) *snapshots {
	return &snapshots{folder: t.TempDir(), store: store, onFailure: func(err error) { t.Error(err) }}
}

func recordAt(index uint64) record {
	servers := raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "a"}}}
	return record{Index: index, Term: 2, Configuration: raft.EncodeConfiguration(servers), ConfigurationIndex: 1}
}

// receive makes a copy at an entry pending, and returns its path.
func (s *snapshots) receive(t *testing.T, index uint64, file string) string {
	t.Helper()
	path := filepath.Join(s.folder, file)
	for _, err := range []error{os.WriteFile(path, []byte("x"), 0o600), s.setPending(pendingCopy{recordAt(index), file})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestDamagedNameOfAPendingCopyIsDropped(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"no JSON":                `{`,
		"no snapshot":            `{"file":"received-1.db"}`,
		"a file elsewhere":       fmt.Sprintf(`{"snapshot":{"index":7},"file":%q}`, outside),
		"neither of both":        `{}`,
		"JSON that is no record": `{"snapshot":{"index":"7"},"file":"received-1.db"}`,
	} {
		s := snapshotsIn(t, nil)
		if err := os.WriteFile(s.pendingPath(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if found, err := s.pending(); found != nil || err != nil {
			t.Errorf("%s: %v, %v", what, found, err)
		}
		if isThere(s.pendingPath()) {
			t.Errorf("%s: the name is still there", what)
		}
	}
	if !isThere(outside) {
		t.Error("a file outside of the folder was removed")
	}
}

func TestANewerCopyReplacesThePendingOne(t *testing.T) {
	s := snapshotsIn(t, nil)
	if err := s.dropPending(); err != nil {
		t.Errorf("dropping none: %v", err)
	}
	first := s.receive(t, 7, "received-1.db")
	second := s.receive(t, 9, "received-2.db")
	if isThere(first) || !isThere(second) {
		t.Error("not only the file of the earlier copy was removed")
	}
	// The same name again, as after a crash between both steps.
	s.receive(t, 9, "received-2.db")
	if found, err := s.pending(); err != nil || found == nil || found.Snapshot.Index != 9 || !isThere(second) {
		t.Errorf("pending: %v, %v", found, err)
	}
	if err := s.dropPending(); err != nil || isThere(second) || isThere(s.pendingPath()) {
		t.Errorf("after the drop something is left (%v)", err)
	}
}

func TestWhatBecomesOfAPendingCopy(t *testing.T) {
	failed := errors.New("a newer schema")
	ended, end := context.WithCancel(context.Background())
	end()
	for _, row := range []struct {
		name     string
		record   uint64 // 0: none
		applied  uint64
		ctx      context.Context
		install  func() (Applied, error)
		installs int
		settled  bool
		now      uint64
		newest   uint64
		kept     bool
		err      error
	}{
		{name: "is installed", record: 5, applied: 5, install: func() (Applied, error) { return Applied{Index: 12}, nil },
			installs: 1, settled: true, now: 12, newest: 10},
		{name: "is installed at its very entry", applied: 5,
			install:  func() (Applied, error) { return Applied{Index: 10}, nil },
			installs: 1, settled: true, now: 10, newest: 10},
		{name: "is the store already", record: 5, applied: 10, settled: true, now: 10, newest: 10},
		{name: "is the store already, and that went on", applied: 11, settled: true, now: 11, newest: 10},
		{name: "is older than the record", record: 11, applied: 5, now: 5, newest: 11},
		{name: "is refused", record: 5, applied: 5, install: func() (Applied, error) { return Applied{}, failed },
			installs: 1, now: 5, newest: 5, err: failed},
		{name: "is refused after the time is over", record: 5, applied: 5, ctx: ended,
			install:  func() (Applied, error) { return Applied{}, failed },
			installs: 1, now: 5, newest: 5, kept: true, err: failed},
		{name: "is installed, or not, by a store that is gone", record: 5, applied: 5,
			install:  func() (Applied, error) { return Applied{}, ErrStoreGone },
			installs: 1, now: 5, newest: 5, kept: true, err: ErrStoreGone},
	} {
		store := &installing{install: row.install}
		s := snapshotsIn(t, store)
		if row.record > 0 {
			if err := s.write(recordAt(row.record)); err != nil {
				t.Fatal(err)
			}
		}
		path := s.receive(t, 10, "received-1.db")
		ctx := row.ctx
		if ctx == nil {
			ctx = context.Background()
		}
		now, settled, err := s.settle(ctx, "a", Applied{Index: row.applied})
		var newest uint64
		if found, _ := s.newest(); found != nil {
			newest = found.Index
		}
		if now.Index != row.now || settled != row.settled || newest != row.newest || store.attempts != row.installs ||
			!errors.Is(err, row.err) || (err == nil) != (row.err == nil) {
			t.Errorf("%s: at %d, settled %v, record %d, %d installs, %v",
				row.name, now.Index, settled, newest, store.attempts, err)
		}
		if isThere(path) != row.kept || isThere(s.pendingPath()) != row.kept {
			t.Errorf("%s: the copy is there: %v, its name: %v", row.name, isThere(path), isThere(s.pendingPath()))
		}
		var refused *refusedCopyError
		if isRefused := errors.As(err, &refused); isRefused != (row.err != nil && !row.kept) {
			t.Errorf("%s: refused: %v", row.name, isRefused)
		}
		// Nothing is pending any more, or the same once more.
		if _, again, _ := s.settle(context.Background(), "a", Applied{Index: row.now}); !row.kept && again {
			t.Errorf("%s: it is settled twice", row.name)
		}
	}
}

func TestACopyBeforeItsSnapshotIsNotRecorded(t *testing.T) {
	s := snapshotsIn(t, &installing{install: func() (Applied, error) { return Applied{Index: 9}, nil }})
	path := s.receive(t, 10, "received-1.db")
	if _, settled, err := s.settle(context.Background(), "a", Applied{}); settled || err == nil || !isThere(path) {
		t.Errorf("settled %v, %v", settled, err)
	}
	if found, err := s.newest(); found != nil || err != nil {
		t.Errorf("the record is %v (%v)", found, err)
	}
}

func TestNothingIsSettledOverARecordThatCannotBeRead(t *testing.T) {
	s := snapshotsIn(t, &installing{})
	s.receive(t, 10, "received-1.db")
	if err := os.WriteFile(s.path(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, settled, err := s.settle(context.Background(), "a", Applied{}); settled || err == nil {
		t.Errorf("settled %v, %v", settled, err)
	}
}

func TestAnInstallThatCannotBeRecordedIsNotSettled(t *testing.T) {
	failures := 0
	s := snapshotsIn(t, &installing{install: func() (Applied, error) { return Applied{Index: 10}, nil }})
	s.onFailure = func(error) { failures++ }
	path := s.receive(t, 10, "received-1.db")
	s.setCached(nil)
	if err := os.Mkdir(s.path(), 0o700); err != nil {
		t.Fatal(err)
	}
	_, settled, err := s.settle(context.Background(), "a", Applied{})
	if settled || err == nil || failures != 1 || !isThere(path) {
		t.Errorf("settled %v, %v, %d failures", settled, err, failures)
	}
}

func TestReceivedCopiesThatAreNotWhole(t *testing.T) {
	content := []byte("the store")
	sum := sha256.Sum256(content)
	header := copyHeader{"f", "e", int64(len(content)), hex.EncodeToString(sum[:])}
	framed := func(header copyHeader, content []byte) []byte {
		var text bytes.Buffer
		if err := writeJSON(&text, header); err != nil {
			t.Fatal(err)
		}
		return append(text.Bytes(), content...)
	}
	other := header
	other.Sha256 = hex.EncodeToString(make([]byte, 32))
	for what, row := range map[string]struct {
		sent []byte
		end  func(*sink) error
		kept bool
	}{
		"a whole one":           {framed(header, content), (*sink).Close, true},
		"one that ends early":   {framed(header, content[:3]), (*sink).Close, false},
		"one with another hash": {framed(other, content), (*sink).Close, false},
		"one without a header":  {framed(header, nil)[:5], (*sink).Close, false},
		"one without anything":  {nil, (*sink).Close, false},
		"one that is given up":  {framed(header, content), (*sink).Cancel, false},
	} {
		s := snapshotsIn(t, nil)
		s.fleet, s.epoch = "f", "e"
		created, err := s.Create(raft.SnapshotVersionMax, 10, 2, raft.Configuration{}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if row.sent != nil {
			if _, err := created.Write(row.sent); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		err = row.end(created.(*sink))
		if what != "one that is given up" && (err == nil) != row.kept {
			t.Errorf("%s: %v", what, err)
		}
		// A second end changes nothing: raft cancels what it could not close.
		if err := created.Cancel(); err != nil {
			t.Errorf("%s, cancelled at last: %v", what, err)
		}
		files, _ := filepath.Glob(filepath.Join(s.folder, "received-*"))
		found, err := s.pending()
		if err != nil || (found != nil) != row.kept || (len(files) > 0) != row.kept {
			t.Errorf("%s: pending %v (%v), files %v", what, found, err, files)
		}
	}
}

func TestARecordThatSaysNothingIsNoneOfAStore(t *testing.T) {
	for _, text := range []string{`{`, `{}`, `{"index":7}`, `{"configuration":"YQ=="}`} {
		s := snapshotsIn(t, nil)
		if err := os.WriteFile(s.path(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if found, err := s.newest(); found != nil || err == nil {
			t.Errorf("%s: %v, %v", text, found, err)
		}
	}
}
