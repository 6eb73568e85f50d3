// Before raft starts: whether its folder and the store belong together and follow from each other (replication.md 14).

package raftlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
)

// QuarantineError says that store and raft folder cannot go on together; the data must be set aside and the node rejoin as a new server.
type QuarantineError struct{ Reason string }

func (err *QuarantineError) Error() string {
	return err.Reason + "; set the data aside and rejoin as a new server"
}

func quarantine(format string, values ...any) error {
	return &QuarantineError{Reason: fmt.Sprintf(format, values...)}
}

// refuseLostLog refuses a folder whose log is gone: the entries in it may have been acknowledged, and the votes in it were given (replication.md 14).
// The log is made before the first record, so a record without it was never left by this program.
func refuseLostLog(folder string) error {
	if _, err := os.Stat(filepath.Join(folder, recordFile)); err != nil {
		return nil
	}
	path := filepath.Join(folder, logFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return quarantine("the raft log %s is not there, and the snapshot beside it says that it was", path)
	}
	return nil
}

// reconcile installs a snapshot that was received but not installed, and refuses folders that do not fit. It answers how far the store is.
func reconcile(ctx context.Context, server string, applied Applied, log raft.LogStore, snapshots *snapshots) (Applied, error) {
	if applied.Server != "" && applied.Server != server {
		return applied, quarantine("the store was written by server %.40q and the raft folder is of %s", applied.Server, server)
	}
	snapshot, err := snapshots.newest()
	if err != nil {
		return applied, err
	}
	if snapshot != nil && snapshot.Index > applied.Index {
		if snapshot.File == "" {
			return applied, quarantine("the store is at entry %d, before the snapshot at %d: it is an older copy, or was lost", applied.Index, snapshot.Index)
		}
		applied, err = snapshots.machine.Install(ctx, server, snapshot.File, snapshot.Index, snapshot.Term)
		if err != nil {
			return applied, fmt.Errorf("installing the snapshot at entry %d: %w", snapshot.Index, err)
		}
	}
	if err := dropOtherHistory(snapshot, log); err != nil {
		return applied, err
	}
	if err := fits(applied, snapshot, log); err != nil {
		return applied, err
	}
	if err := standAlone(server, log, snapshot, snapshots.folder); err != nil {
		return applied, fmt.Errorf("going on without the other members: %w", err)
	}
	return applied, snapshots.installed(applied.Index)
}

// dropOtherHistory removes a log that has another entry where the snapshot is: nothing from there on was ever committed, and this member may
// have ended before it could remove it itself.
func dropOtherHistory(snapshot *record, log raft.LogStore) error {
	if snapshot == nil {
		return nil
	}
	var entry raft.Log
	err := log.GetLog(snapshot.Index, &entry)
	if errors.Is(err, raft.ErrLogNotFound) || err == nil && entry.Term == snapshot.Term {
		return nil
	}
	if err != nil {
		return err
	}
	return deleteLog(log)
}

func fits(applied Applied, snapshot *record, log raft.LogStore) error {
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
			return quarantine("entry %d has term %d in the store and %d in the snapshot", applied.Index, applied.Term, snapshot.Term)
		}
		return nil
	}
	// A copy from a peer may be ahead of its label, and of what this log holds yet.
	if snapshot != nil && applied.Index > end && (snapshot.File != "" || snapshot.Marked.Applied == applied.Index) {
		return nil
	}
	if applied.Index > end {
		return quarantine("the store is at entry %d and the raft folder ends at %d: it is an older copy, or was lost", applied.Index, end)
	}
	if applied.Index == 0 {
		return nil
	}
	var entry raft.Log
	if err := log.GetLog(applied.Index, &entry); err != nil {
		if errors.Is(err, raft.ErrLogNotFound) {
			return quarantine("entry %d, the last in the store, is not in the raft log", applied.Index)
		}
		return err
	}
	if entry.Term != applied.Term {
		return quarantine("entry %d has term %d in the store and %d in the raft log", applied.Index, applied.Term, entry.Term)
	}
	return nil
}

// bootstrap makes this server the only voter of a new fleet. The store as it is becomes the snapshot at entry 1, so that whoever joins
// starts from a copy of it, and a store that was written without raft is carried over.
func bootstrap(ctx context.Context, server string, applied Applied, log raft.LogStore, stable raft.StableStore, snapshots *snapshots) (Applied, error) {
	last, err := log.LastIndex()
	if err != nil {
		return applied, err
	}
	found, err := snapshots.newest()
	if err != nil || found != nil || last > 0 {
		return applied, err
	}
	if applied.Index > 1 {
		return applied, quarantine("the store is at entry %d of a fleet, and the raft folder is new", applied.Index)
	}
	if err := stable.SetUint64(keyCurrentTerm, 1); err != nil {
		return applied, err
	}
	marked, err := snapshots.machine.Mark(ctx, server, 1, 1)
	if err != nil {
		return applied, err
	}
	alone := raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: raft.ServerID(server), Address: raft.ServerAddress(server)}}}
	err = snapshots.write(record{Index: 1, Term: 1, Configuration: raft.EncodeConfiguration(alone), ConfigurationIndex: 1, Marked: marked})
	return Applied{Index: 1, Term: 1, Server: server}, err
}
