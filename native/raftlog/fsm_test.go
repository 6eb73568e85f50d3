// Tests of what the store gets of the log: batches, marks before entries are dropped, and the state after a copy.

package raftlog

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/raft"
)

// applying is a store that notes what it gets.
type applying struct {
	StateMachine
	batches []string
	failing error
	waited  uint64
	marked  Marked
	at      uint64
}

func (s *applying) Apply(previous uint64, batch []Entry) error {
	s.batches = append(s.batches, fmt.Sprintf("%d: %d-%d", previous, batch[0].Index, batch[len(batch)-1].Index))
	return s.failing
}

func (s *applying) WaitApplied(_ context.Context, index uint64) error {
	s.waited = index
	return s.failing
}

func (s *applying) Mark(context.Context, string, uint64, uint64) (Marked, error) {
	return s.marked, nil
}
func (s *applying) AppliedIndex() uint64 { return s.at }
func (s *applying) Install(context.Context, string, string, uint64, uint64) (Applied, error) {
	return Applied{Index: 12}, s.failing
}

// fsmOver returns an FSM over a store, at entry 10, and what it reports as failures.
func fsmOver(t *testing.T, store *applying) (*fsm, *[]error) {
	failures := &[]error{}
	f := &fsm{store: store, snapshots: snapshotsIn(t, store), onCommitted: func() {}}
	f.onFailure = func(err error) { *failures = append(*failures, err) }
	f.passed.Store(10)
	return f, failures
}

func commands(from, to uint64, size int) (logs []*raft.Log) {
	for index := from; index <= to; index++ {
		logs = append(logs, &raft.Log{Index: index, Term: 3, Type: raft.LogCommand, Data: make([]byte, size)})
	}
	return logs
}

func TestBatchesOfTheStore(t *testing.T) {
	const mebibyte = 1 << 20
	configuration := []*raft.Log{{Index: 11, Term: 3, Type: raft.LogConfiguration}}
	for what, row := range map[string]struct {
		logs    []*raft.Log
		skip    uint64
		noStore bool
		want    string
		queued  uint64
		passed  uint64
	}{
		"small ones are one batch":    {commands(11, 15, 100), 0, false, "[10: 11-15]", 15, 15},
		"large ones are cut":          {commands(11, 15, mebibyte), 0, false, "[10: 11-14 14: 15-15]", 15, 15},
		"the largest ones are single": {commands(11, 13, 3*mebibyte), 0, false, "[10: 11-11 11: 12-12 12: 13-13]", 13, 13},
		"others are left out":         {append(configuration, commands(12, 13, 1)...), 0, false, "[10: 12-13]", 13, 13},
		"what it holds is skipped":    {commands(11, 14, 1), 12, false, "[12: 13-14]", 14, 14},
		"all of it":                   {commands(11, 14, 1), 14, false, "[]", 0, 14},
		"nothing without a store":     {commands(11, 14, 1), 0, true, "[]", 0, 10},
	} {
		store := &applying{}
		f, failures := fsmOver(t, store)
		f.skipUpTo.Store(row.skip)
		f.noStore.Store(row.noStore)
		terms := f.ApplyBatch(row.logs)
		if len(terms) != len(row.logs) || terms[0] != uint64(3) {
			t.Errorf("%s: terms %v", what, terms)
		}
		got := fmt.Sprint(store.batches)
		if got != row.want || f.queued.Load() != row.queued || f.passed.Load() != row.passed {
			t.Errorf("%s: %s, queued %d, passed %d", what, got, f.queued.Load(), f.passed.Load())
		}
		if len(*failures) > 0 {
			t.Errorf("%s: %v", what, *failures)
		}
	}
	f, failures := fsmOver(t, &applying{failing: ErrStoreGone})
	if f.Apply(commands(11, 11, 1)[0]); len(*failures) != 1 || !errors.Is((*failures)[0], ErrStoreGone) {
		t.Errorf("a store that is gone: %v", *failures)
	}
}

func TestSnapshotsNameWhatTheStoreHolds(t *testing.T) {
	failed := errors.New("the disk is full")
	for what, row := range map[string]struct {
		marked  uint64
		failing error
		want    uint64
	}{
		"a store at the entry":     {10, nil, 10},
		"a store beyond the entry": {12, nil, 10},
		"a store before the entry": {9, nil, 0},
		"a store that cannot":      {10, failed, 0},
	} {
		store := &applying{marked: Marked{Applied: row.marked, Chain: "c"}, failing: row.failing}
		f, _ := fsmOver(t, store)
		f.queued.Store(8)
		taken, err := f.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		f.queued.Store(20)
		err = taken.Persist(&sink{store: f.snapshots, record: recordAt(10)})
		if (err == nil) != (row.want > 0) || store.waited != 8 {
			t.Errorf("%s: %v, waited for %d", what, err, store.waited)
		}
		found, err := f.snapshots.newest()
		if err != nil || (found != nil) != (row.want > 0) {
			t.Errorf("%s: the record is %+v (%v)", what, found, err)
		}
		if found != nil && (found.Index != row.want || found.Marked != store.marked) {
			t.Errorf("%s: the record is %+v", what, found)
		}
	}
	f, _ := fsmOver(t, &applying{})
	f.noStore.Store(true)
	if _, err := f.Snapshot(); !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		t.Errorf("a snapshot without a store: %v", err)
	}
}

func TestRecordsOnlyGoOn(t *testing.T) {
	s := snapshotsIn(t, nil)
	for _, row := range []struct {
		index uint64
		want  uint64
	}{{10, 10}, {9, 10}, {10, 10}, {11, 11}} {
		err := s.write(recordAt(row.index))
		found, readErr := s.newest()
		if (err == nil) != (row.index == row.want) || readErr != nil || found.Index != row.want {
			t.Errorf("a record at %d: %v, and the newest is %+v (%v)", row.index, err, found, readErr)
		}
	}
}

func TestTheStateAfterACopy(t *testing.T) {
	for what, failing := range map[string]error{
		"installed": nil, "refused": errors.New("a newer schema"), "of unknown outcome": ErrStoreGone,
	} {
		f, failures := fsmOver(t, &applying{failing: failing, at: 5})
		f.noStore.Store(true)
		f.skipUpTo.Store(5)
		f.queued.Store(7)
		f.snapshots.receive(t, 10, "received-1.db")
		settled, err := f.settle()
		state := []any{f.skipUpTo.Load(), f.queued.Load(), f.passed.Load(), f.noStore.Load(), f.installs.Load()}
		want := []any{uint64(5), uint64(7), uint64(10), true, uint64(0)}
		if failing == nil {
			want = []any{uint64(12), uint64(0), uint64(12), false, uint64(1)}
		}
		if settled != (failing == nil) || (err == nil) != settled || fmt.Sprint(state) != fmt.Sprint(want) {
			t.Errorf("%s: settled %v, %v, %v", what, settled, err, state)
		}
		// A refusal changes nothing, and the member goes on; after the other it is not known what the store holds.
		if isFatal := errors.Is(failing, ErrStoreGone); (len(*failures) > 0) != isFatal {
			t.Errorf("%s: %v", what, *failures)
		}
	}
}
