// Erases entries from the disk after a purge (security.md 23): what bolt removes stays in its file as free pages, so
// the file is rewritten without them.

package raftlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// rewriteBytes bounds one transaction of a rewrite.
const rewriteBytes = 8 << 20

// Erase removes every entry up to index, which the store must hold, and every trace of removed ones from the file of
// the log. After an error it may be called again.
func (n *Node) Erase(index uint64) error {
	if n.logHold.isSending() {
		return errors.New("a member receives a copy of the store and needs the entries after it")
	}
	found, err := n.snapshots.newest()
	if err == nil && (found == nil || found.Index < index) {
		if err = n.Snapshot(); err == nil {
			found, err = n.snapshots.newest()
		}
	}
	if err != nil {
		return fmt.Errorf("recording what the store holds: %w", err)
	}
	if found == nil || found.Index < index {
		return fmt.Errorf("the store does not hold entry %d yet", index)
	}
	first, err := n.log.FirstIndex()
	if err == nil && first != 0 && first <= index {
		err = n.log.DeleteRange(first, index)
	}
	if err != nil {
		return fmt.Errorf("removing the entries up to %d: %w", index, err)
	}
	return n.log.rewrite()
}

// isSending reports whether a copy is being made or sent.
func (h *logHold) isSending() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.copies > 0
}

// rewrite replaces the file by one that holds the same and nothing else. Calls on the log wait meanwhile.
func (s *logStore) rewrite() error {
	s.using.Lock()
	defer s.using.Unlock()
	next := s.path + rewrittenSuffix
	if err := s.file.Close(); err != nil {
		s.onFailure(fmt.Errorf("closing the log to rewrite it: %w", err))
		return err
	}
	written := compactInto(s.path, next)
	if written == nil {
		written = os.Rename(next, s.path)
	}
	if written == nil {
		written = SyncFolder(filepath.Dir(s.path))
	} else {
		_ = os.Remove(next)
	}
	file, err := openBolt(s.path)
	if err != nil {
		s.onFailure(fmt.Errorf("opening the rewritten log: %w", err))
		return err
	}
	s.file = file
	if written != nil {
		return fmt.Errorf("rewriting the log: %w", written)
	}
	return nil
}

// compactInto writes what a bolt file holds to a new one, durably.
func compactInto(from, to string) (err error) {
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	source, err := bolt.Open(from, 0o600, &bolt.Options{Timeout: openWait, ReadOnly: true})
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := bolt.Open(to, 0o600, &bolt.Options{Timeout: openWait})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := bolt.Compact(target, source, rewriteBytes); err != nil {
		return err
	}
	return target.Sync()
}
