// The state of the node on the tailnet, with the keys of its device. Tailscale's file store syncs the file and renames
// it, and does not sync the folder: after a loss of power the node could be another device, in a fleet that knows the
// one before.

package core

import (
	"bytes"
	"path/filepath"
	"sync"

	"cairn.internal/native/raftlog/entrylog"
	"tailscale.com/ipn"
	"tailscale.com/ipn/store"
	"tailscale.com/types/logger"
)

const stateFile = "tailscaled.state"

// durableState is a file store whose writes are on the disk when they return, names included.
type durableState struct {
	ipn.StateStore
	folder string
	// One write at a time: a write that finds its value there returns only once that is on the disk.
	writing sync.Mutex
}

// openState opens or creates the state in a folder that exists.
func openState(folder string, logf logger.Logf) (*durableState, error) {
	file, err := store.NewFileStore(logf, filepath.Join(folder, stateFile))
	if err != nil {
		return nil, err
	}
	for _, path := range []string{folder, filepath.Dir(folder)} {
		if err := entrylog.SyncFolder(path); err != nil {
			return nil, err
		}
	}
	return &durableState{StateStore: file, folder: folder}, nil
}

// WriteState saves a value; nil removes it. After an error the value is the one before: the file store would keep the
// new one in memory, and take the next attempt for done.
func (s *durableState) WriteState(id ipn.StateKey, value []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	// nil where there is none.
	was, err := s.ReadState(id)
	if err == nil && bytes.Equal(was, value) {
		return nil
	}
	err = s.StateStore.WriteState(id, value)
	if err == nil {
		err = entrylog.SyncFolder(s.folder)
	}
	if err != nil {
		// The error of this one says nothing new.
		_ = s.StateStore.WriteState(id, was)
	}
	return err
}
