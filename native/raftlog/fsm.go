// Adapts the store to raft's FSM. Committed entries are passed on in batches; the store acknowledges them later, once
// they are applied (replication.md 13).

package raftlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

const (
	batchBytes    = 4 << 20
	applyDeadline = 2 * time.Minute
)

// StateMachine is the store that entries are applied to.
type StateMachine interface {
	// Apply queues the next entries and returns; it blocks only while too many are not applied yet. previous is the entry
	// before the first: a store that does not hold it must refuse the batch. An error means that the store is gone.
	Apply(previous uint64, batch []Entry) error
	// AppliedIndex returns the last entry that the store holds.
	AppliedIndex() uint64
	// ApplyLag returns for how long the store has applied nothing while a batch is queued, 0 if there is none.
	ApplyLag() time.Duration
	// MayLead returns for how long the store's process has not reported that it may lead: its event loop turns, and it can
	// take writes. successor is the voter that it named in its place, "" for none.
	MayLead() (silence time.Duration, successor string)
	// WaitApplied returns once everything up to index is applied.
	WaitApplied(ctx context.Context, index uint64) error
	// Mark makes the store durable up to (index, term) under this server's id.
	Mark(ctx context.Context, server string, index, term uint64) (Marked, error)
	// Copy writes the whole store, durably, to a path that does not exist yet.
	Copy(ctx context.Context, path string) error
	// Install replaces the store by the copy at path and returns its position. After an error nothing has changed, except
	// after ErrStoreGone and the end of ctx, when that is not known.
	Install(ctx context.Context, server, path string, index, term uint64) (Applied, error)
}

type fsm struct {
	server    string
	store     StateMachine
	snapshots *snapshots
	// skipUpTo is the last entry that the store already holds.
	skipUpTo atomic.Uint64
	queued   atomic.Uint64
	// passed is the last command entry that raft passed on, skipped or not, or the snapshot that raft began from.
	passed atomic.Uint64
	// noStore is set while this member waits for a copy in place of its store (missingstore.go).
	noStore atomic.Bool
	// installs counts copies that replaced the store. After one, the log may hold entries before the copy's position that
	// were never committed.
	installs atomic.Uint64
	// onOlderLabel is called after a copy whose snapshot is older than this member's was installed in place of a missing
	// store.
	onOlderLabel func()
	// onConflict is called after a snapshot replaced a divergent history.
	onConflict func()
	// onCommitted is called after entries were queued; it must not block.
	onCommitted func()
	onFailure   func(error)
}

func (f *fsm) Apply(entry *raft.Log) any {
	return f.ApplyBatch([]*raft.Log{entry})[0]
}

// ApplyBatch queues entries and returns their terms; it does not report whether they are applied.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	terms := make([]any, len(logs))
	var batch []Entry
	var previous uint64
	size := 0
	flush := func() {
		if len(batch) == 0 {
			return
		}
		if err := f.store.Apply(previous, batch); err != nil {
			f.onFailure(fmt.Errorf("passing entry %d to the store: %w", batch[0].Index, err))
		}
		f.queued.Store(batch[len(batch)-1].Index)
		batch, size = nil, 0
	}
	for at, entry := range logs {
		terms[at] = entry.Term
		if f.noStore.Load() {
			// The copy will contain it, or raft applies it again after the copy.
			continue
		}
		if entry.Type != raft.LogCommand {
			continue
		}
		before := f.passed.Swap(entry.Index)
		if entry.Index <= f.skipUpTo.Load() {
			continue
		}
		if size+len(entry.Data) > batchBytes {
			flush()
		}
		if len(batch) == 0 {
			previous = before
		}
		batch = append(batch, Entry{Index: entry.Index, Term: entry.Term, Data: entry.Data})
		size += len(entry.Data)
	}
	flush()
	f.onCommitted()
	return terms
}

func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.noStore.Load() {
		return nil, raft.ErrNothingNewToSnapshot
	}
	return &snapshotRef{fsm: f, upTo: f.queued.Load()}, nil
}

// snapshotRef makes the store durable up to the snapshot's index before raft may discard entries.
type snapshotRef struct {
	fsm  *fsm
	upTo uint64
}

func (s *snapshotRef) Persist(raw raft.SnapshotSink) error {
	target, ok := raw.(*sink)
	if !ok {
		return errors.New("the snapshot sink is not ours")
	}
	ctx, cancel := context.WithTimeout(context.Background(), applyDeadline)
	defer cancel()
	if err := s.fsm.store.WaitApplied(ctx, s.upTo); err != nil {
		return errors.Join(err, target.Cancel())
	}
	marked, err := s.fsm.store.Mark(ctx, s.fsm.server, target.record.Index, target.record.Term)
	if err != nil {
		return errors.Join(err, target.Cancel())
	}
	if marked.Applied < target.record.Index {
		return errors.Join(
			fmt.Errorf("the store is at entry %d, before the requested snapshot at %d", marked.Applied, target.record.Index),
			target.Cancel())
	}
	target.record.Marked, target.own = marked, true
	return target.Close()
}

func (s *snapshotRef) Release() {}

// Restore installs the pending copy; it does not read the stream that raft opened over that file.
func (f *fsm) Restore(source io.ReadCloser) error {
	defer source.Close()
	settled, err := f.settle()
	if err != nil {
		return err
	}
	if !settled {
		return errors.New("there is no received snapshot to install")
	}
	found, err := f.snapshots.newest()
	if err != nil {
		return err
	}
	divergent, err := isDivergent(found, f.snapshots.log)
	olderLabel := f.snapshots.olderLabel.Swap(false)
	if divergent {
		f.onConflict()
	} else if olderLabel {
		f.onOlderLabel()
	}
	return err
}

// settle installs the pending copy, if there is one, and reports whether it is the store now. An install whose outcome
// is unknown ends the member; its next start settles it.
func (f *fsm) settle() (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), copyDeadline)
	defer cancel()
	applied, settled, err := f.snapshots.settle(ctx, f.server, Applied{Index: f.store.AppliedIndex()})
	var refused *refusedCopyError
	if err != nil && !errors.As(err, &refused) {
		f.onFailure(err)
	}
	if settled {
		f.installs.Add(1)
		f.skipUpTo.Store(applied.Index)
		f.queued.Store(0)
		f.passed.Store(applied.Index)
		f.noStore.Store(false)
	}
	return settled, err
}
