// Received copies that are not the store yet (replication.md 22). Each is written to a file of its own, then named by
// `<folder>/pending.json`; the snapshot record names it only once the store has installed it.

package raftlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"cairn.internal/native/raftlog/entrylog"
)

const pendingFile = "pending.json"

// pendingCopy is the file of a received copy, and the snapshot that it becomes. id names the transfer.
type pendingCopy struct {
	Snapshot record `json:"snapshot"`
	File     string `json:"file"`
}

func (c *pendingCopy) id() string { return c.File }

// refusedCopyError is the store's refusal of a copy, which was dropped; the store is what it was before.
type refusedCopyError struct {
	index uint64
	err   error
}

func (e *refusedCopyError) Error() string {
	return fmt.Sprintf("the received copy at entry %d is dropped: %v", e.index, e.err)
}
func (e *refusedCopyError) Unwrap() error { return e.err }

func (s *snapshots) pendingPath() string { return filepath.Join(s.folder, pendingFile) }

// pending returns the received copy that is not installed, or nil.
func (s *snapshots) pending() (*pendingCopy, error) {
	text, err := os.ReadFile(s.pendingPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found pendingCopy
	if json.Unmarshal(text, &found) != nil || found.Snapshot.Index == 0 || filepath.Base(found.File) != found.File {
		// It was written durably before its name, so only a damaged disk gets here. The record still holds.
		return nil, s.dropPending()
	}
	return &found, nil
}

// setPending makes a received copy pending, durably. It replaces an earlier one.
func (s *snapshots) setPending(next pendingCopy) error {
	earlier, err := s.pending()
	if err != nil {
		return err
	}
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := writeDurable(s.pendingPath(), text); err != nil {
		return fmt.Errorf("recording a received copy: %w", err)
	}
	if earlier != nil && earlier.File != next.File {
		_ = os.Remove(filepath.Join(s.folder, earlier.File))
	}
	return nil
}

// dropPending removes the pending copy, its name first: a name without its file would be tried at each start.
func (s *snapshots) dropPending() error {
	text, _ := os.ReadFile(s.pendingPath())
	err := os.Remove(s.pendingPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = entrylog.SyncFolder(s.folder)
	}
	if err != nil {
		err = fmt.Errorf("removing a received copy: %w", err)
		s.onFailure(err)
		return err
	}
	var dropped pendingCopy
	if json.Unmarshal(text, &dropped) == nil && dropped.File != "" {
		_ = os.Remove(filepath.Join(s.folder, filepath.Base(dropped.File)))
	}
	return nil
}

// settle makes the pending copy, if there is one, the store and then the record; settled reports that there was one.
// applied is the position of the store, and settle returns the one it has then. A store that holds the copy's entries
// already was switched by a process that ended before it recorded that. A copy that the store refuses is dropped
// (refusedCopyError). After any other error it stays, since it is not known whether it is the store now.
func (s *snapshots) settle(ctx context.Context, server string, applied Applied) (now Applied, settled bool, err error) {
	waiting, err := s.pending()
	if err != nil || waiting == nil {
		return applied, false, err
	}
	found, err := s.newest()
	if err != nil {
		return applied, false, err
	}
	next := waiting.Snapshot
	if found != nil && found.Index > next.Index {
		return applied, false, s.dropPending()
	}
	if applied.Index < next.Index {
		now, err := s.store.Install(ctx, server, filepath.Join(s.folder, waiting.File), next.Index, next.Term)
		switch {
		case errors.Is(err, ErrStoreGone) || err != nil && ctx.Err() != nil:
			return applied, false, fmt.Errorf("installing the snapshot at entry %d: %w", next.Index, err)
		case err != nil:
			return applied, false, errors.Join(&refusedCopyError{next.Index, err}, s.dropPending())
		case now.Index < next.Index:
			return applied, false, fmt.Errorf("the installed copy is at entry %d, before its snapshot at %d", now.Index,
				next.Index)
		}
		applied = now
	}
	next.Marked.Applied = applied.Index
	if err := s.write(next); err != nil {
		return applied, false, err
	}
	return applied, true, s.dropPending()
}
