// Erases entries from the disk after a purge (security.md 23): removed ones stay in the files of the log, so what is
// left is copied into a new one.

package raftlog

import (
	"errors"
	"fmt"
)

// Erase removes every entry up to index, which the store must hold, and every trace of removed ones from the files of
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
	if err := n.log.entries.Rewrite(); err != nil {
		return fmt.Errorf("rewriting the log: %w", err)
	}
	return nil
}

// isSending reports whether a copy is being made or sent.
func (h *logHold) isSending() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.copies > 0
}
