// The state machine is elsewhere: committed entries are handed on in batches, and what is applied there is acknowledged later (replication.md 13).

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

// Machine is the store that entries are applied to.
type Machine interface {
	// Apply takes the next entries and returns; it waits only while too much is not applied yet. An error means that the store is gone.
	Apply(batch []Entry) error
	// AppliedIndex is the last entry that the store holds.
	AppliedIndex() uint64
	// Behind is how long the oldest batch that was handed on waits to be applied.
	Behind() time.Duration
	// WaitApplied returns once everything up to index is applied.
	WaitApplied(ctx context.Context, index uint64) error
	// Mark makes the store durable up to (index, term) under this server's id.
	Mark(ctx context.Context, server string, index, term uint64) (Marked, error)
	// Copy writes the whole store, durable, to a path that is not there yet.
	Copy(ctx context.Context, path string) error
	// Install makes the copy at path the store, and answers how far it is.
	Install(ctx context.Context, server, path string, index, term uint64) (Applied, error)
}

type fsm struct {
	server    string
	machine   Machine
	snapshots *snapshots
	// skip is the last entry that the store already holds.
	skip   atomic.Uint64
	queued atomic.Uint64
	// installs counts copies that replaced the store: what the log says of entries before them need not be what was committed.
	installs atomic.Uint64
	// conflicted is called after a snapshot came over another history.
	conflicted func()
	// committed is called after entries were handed on; it must not wait.
	committed func()
	failed    func(error)
}

func (machine *fsm) Apply(entry *raft.Log) any {
	return machine.ApplyBatch([]*raft.Log{entry})[0]
}

// ApplyBatch queues; it answers the terms, and says nothing about what was applied.
func (machine *fsm) ApplyBatch(logs []*raft.Log) []any {
	answers := make([]any, len(logs))
	var batch []Entry
	size := 0
	flush := func() {
		if len(batch) == 0 {
			return
		}
		if err := machine.machine.Apply(batch); err != nil {
			machine.failed(fmt.Errorf("handing on entry %d: %w", batch[0].Index, err))
		}
		machine.queued.Store(batch[len(batch)-1].Index)
		batch, size = nil, 0
	}
	for at, entry := range logs {
		answers[at] = entry.Term
		if entry.Type != raft.LogCommand || entry.Index <= machine.skip.Load() {
			continue
		}
		if size+len(entry.Data) > batchBytes {
			flush()
		}
		batch = append(batch, Entry{Index: entry.Index, Term: entry.Term, Data: entry.Data})
		size += len(entry.Data)
	}
	flush()
	machine.committed()
	return answers
}

func (machine *fsm) Snapshot() (raft.FSMSnapshot, error) {
	return &reference{machine: machine, upTo: machine.queued.Load()}, nil
}

// reference waits until the store holds what it stands for, and has it made durable, before raft may forget entries.
type reference struct {
	machine *fsm
	upTo    uint64
}

func (snapshot *reference) Persist(raw raft.SnapshotSink) error {
	target, ours := raw.(*sink)
	if !ours {
		return errors.New("a snapshot needs the store of references")
	}
	ctx, cancel := context.WithTimeout(context.Background(), applyDeadline)
	defer cancel()
	if err := snapshot.machine.machine.WaitApplied(ctx, snapshot.upTo); err != nil {
		return errors.Join(err, target.Cancel())
	}
	marked, err := snapshot.machine.machine.Mark(ctx, snapshot.machine.server, target.record.Index, target.record.Term)
	if err != nil {
		return errors.Join(err, target.Cancel())
	}
	if marked.Applied < target.record.Index {
		return errors.Join(fmt.Errorf("the store is at entry %d, and a snapshot at %d was wanted", marked.Applied, target.record.Index), target.Cancel())
	}
	target.record.Marked, target.own = marked, true
	return target.Close()
}

func (snapshot *reference) Release() {}

// Restore installs the copy that the newest record names; the stream that raft opened over the same file is not read.
func (machine *fsm) Restore(source io.ReadCloser) error {
	defer source.Close()
	found, err := machine.snapshots.newest()
	if err != nil {
		return err
	}
	if found == nil || found.File == "" {
		return errors.New("there is no received snapshot to install")
	}
	ctx, cancel := context.WithTimeout(context.Background(), copyDeadline)
	defer cancel()
	applied, err := machine.machine.Install(ctx, machine.server, found.File, found.Index, found.Term)
	if err != nil {
		return err
	}
	machine.installs.Add(1)
	machine.skip.Store(applied.Index)
	machine.queued.Store(0)
	if err := machine.snapshots.installed(applied.Index); err != nil {
		return err
	}
	if machine.snapshots.conflict.Swap(false) {
		machine.conflicted()
	}
	return nil
}
