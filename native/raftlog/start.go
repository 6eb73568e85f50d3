// Checks before raft starts: whether the raft folder and the store belong together and agree (replication.md 14).

package raftlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"cairn.internal/native/raftlog/entrylog"
)

// QuarantineError says that store and raft folder cannot continue together; the data must be set aside, and the node
// must rejoin as a new server.
type QuarantineError struct{ Reason string }

func (e *QuarantineError) Error() string {
	return e.Reason + "; set the data aside and rejoin as a new server"
}

func quarantinef(format string, values ...any) error {
	return &QuarantineError{Reason: fmt.Sprintf(format, values...)}
}

// StoreError says that the store must not be used, while the raft folder is sound: the member keeps its server id, its
// vote and its log, starts without a store, and receives a copy.
type StoreError struct{ Reason string }

func (e *StoreError) Error() string {
	return e.Reason + "; set the store aside and start without it"
}

func storeErrorf(format string, values ...any) error {
	return &StoreError{Reason: fmt.Sprintf(format, values...)}
}

// checkLogPresent refuses a folder whose log is missing: its entries may have been acknowledged, and its votes were
// given (replication.md 14). The log is created before the first record, and log.db after the other parts of it, so
// this program never leaves one without the others.
func checkLogPresent(folder string) error {
	mark, err := os.ReadFile(filepath.Join(folder, logFile))
	if err != nil {
		if _, err := os.Stat(filepath.Join(folder, recordFile)); err == nil {
			return missingPart(folder, logFile, recordFile)
		}
		return nil
	}
	if !bytes.Equal(mark, []byte(movedText)) {
		return nil
	}
	for _, part := range []string{entriesFolder, votesFile} {
		if _, err := os.Stat(filepath.Join(folder, part)); errors.Is(err, os.ErrNotExist) {
			return missingPart(folder, part, logFile)
		}
	}
	return nil
}

// quarantineIfDamaged returns a QuarantineError for a log that is damaged where it was synced: entries that were
// acknowledged may be lost, as if the log were missing.
func quarantineIfDamaged(err error) error {
	var damaged *entrylog.CorruptError
	if errors.As(err, &damaged) {
		return quarantinef("%v", err)
	}
	return err
}

func missingPart(folder, part, witness string) error {
	return quarantinef("the raft log %s is missing, and %s beside it shows that it existed", filepath.Join(folder, part),
		witness)
}

// reconcile installs a copy that was received and not installed, and refuses inconsistent folders. It returns the
// position of the store: empty for a joiner, and for a member whose store is missing (missingstore.go).
func (n *Node) reconcile(ctx context.Context, applied Applied) (Applied, error) {
	if applied.Server != "" && applied.Server != n.server {
		return applied, storeErrorf("the store was written by server %.40q and the raft folder is of %s", applied.Server,
			n.server)
	}
	applied, _, err := n.snapshots.settle(ctx, n.server, applied)
	var refused *refusedCopyError
	if errors.As(err, &refused) {
		n.options.Log.Error("continuing with what this member had", "reason", err)
	} else if err != nil {
		return applied, err
	}
	snapshot, err := n.snapshots.newest()
	if err != nil {
		return applied, err
	}
	if snapshot != nil && applied.Server == "" && applied.Index == 0 {
		// A new store: this member had another one.
		return applied, errors.Join(n.startWithoutStore(snapshot), dropDivergentLog(snapshot, n.log))
	}
	if snapshot != nil && snapshot.Index > applied.Index {
		return applied, storeErrorf("the store is at entry %d, before the snapshot at %d: it is an older copy, or was lost",
			applied.Index, snapshot.Index)
	}
	if err := dropDivergentLog(snapshot, n.log); err != nil {
		return applied, err
	}
	if err := checkConsistent(applied, snapshot, n.log); err != nil {
		return applied, err
	}
	if err := forceSingleVoter(n.server, n.log, snapshot, n.options.Folder); err != nil {
		return applied, fmt.Errorf("continuing without the other members: %w", err)
	}
	return applied, nil
}

// dropDivergentLog removes a log that has another entry at the snapshot's index: nothing from there on was ever
// committed, and this member may have ended before it could remove the log itself.
func dropDivergentLog(snapshot *record, log raft.LogStore) error {
	if divergent, err := isDivergent(snapshot, log); err != nil || !divergent {
		return err
	}
	return deleteLog(log)
}

// isDivergent reports whether the log has an entry of another term at the snapshot's index.
func isDivergent(snapshot *record, log raft.LogStore) (bool, error) {
	if snapshot == nil {
		return false, nil
	}
	var entry raft.Log
	err := log.GetLog(snapshot.Index, &entry)
	if errors.Is(err, raft.ErrLogNotFound) {
		return false, nil
	}
	return err == nil && entry.Term != snapshot.Term, err
}

func checkConsistent(applied Applied, snapshot *record, log raft.LogStore) error {
	last, err := log.LastIndex()
	if err != nil {
		return err
	}
	end := last
	if snapshot != nil {
		end = max(end, snapshot.Index)
	}
	if snapshot != nil && applied.Index == snapshot.Index {
		if applied.Term != snapshot.Term {
			return storeErrorf("entry %d has term %d in the store and %d in the snapshot", applied.Index, applied.Term,
				snapshot.Term)
		}
		return nil
	}
	// A copy from a peer may be ahead of its record, and of this log.
	if snapshot != nil && applied.Index > end && snapshot.Marked.Applied == applied.Index {
		return nil
	}
	// The log is synced before an entry is applied, so it is the raft folder that lost entries, and perhaps votes.
	if applied.Index > end {
		return quarantinef("the store is at entry %d and the raft folder ends at %d: the folder is an older copy",
			applied.Index, end)
	}
	if applied.Index == 0 {
		return nil
	}
	var entry raft.Log
	if err := log.GetLog(applied.Index, &entry); err != nil {
		if errors.Is(err, raft.ErrLogNotFound) {
			return storeErrorf("entry %d, the last in the store, is not in the raft log", applied.Index)
		}
		return err
	}
	if entry.Term != applied.Term {
		return storeErrorf("entry %d has term %d in the store and %d in the raft log", applied.Index, applied.Term,
			entry.Term)
	}
	return nil
}

// bootstrap makes this server the only voter of a new fleet. The current store becomes the snapshot at entry 1, so that
// joiners start from a copy of it, and a store that was written without raft is carried over.
func bootstrap(ctx context.Context, server string, applied Applied, log raft.LogStore, stable raft.StableStore,
	snapshots *snapshots) (Applied, error) {
	last, err := log.LastIndex()
	if err != nil {
		return applied, err
	}
	found, err := snapshots.newest()
	if err != nil || found != nil || last > 0 {
		return applied, err
	}
	if applied.Index > 1 {
		return applied, quarantinef("the store is at entry %d of a fleet, and the raft folder is new", applied.Index)
	}
	if err := stable.SetUint64(keyCurrentTerm, 1); err != nil {
		return applied, err
	}
	marked, err := snapshots.store.Mark(ctx, server, 1, 1)
	if err != nil {
		return applied, err
	}
	single := raft.Configuration{
		Servers: []raft.Server{{Suffrage: raft.Voter, ID: raft.ServerID(server), Address: raft.ServerAddress(server)}},
	}
	err = snapshots.write(
		record{Index: 1, Term: 1, Configuration: raft.EncodeConfiguration(single), ConfigurationIndex: 1, Marked: marked})
	return Applied{Index: 1, Term: 1, Server: server}, err
}
