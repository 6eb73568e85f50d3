// Forces this server to be the only voter, requested by a file in the raft folder: the last resort after the other
// members are lost. Everything on this disk is committed and applied; the caller then starts a new history (cairn
// recover, promote --accept-loss).

package raftlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"cairn.internal/native/raftlog/entrylog"
)

// AloneFile in a raft folder makes the next start remove the other voters from the configuration.
const AloneFile = "alone"

// forceSingleVoter appends a configuration with this server as its only voter if the folder asks for it. The leader of
// the last term could have appended the same entry. A start that ends before the file is removed repeats this, which is
// safe.
func forceSingleVoter(server string, log raft.LogStore, snapshot *record, folder string) error {
	path := filepath.Join(folder, AloneFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	last, err := log.LastIndex()
	if err != nil {
		return err
	}
	next := raft.Log{Index: last + 1, Type: raft.LogConfiguration}
	if snapshot != nil && snapshot.Index >= next.Index {
		next.Index, next.Term = snapshot.Index+1, snapshot.Term
	} else if last == 0 {
		return fmt.Errorf("%s holds neither entries nor a snapshot to continue from", folder)
	} else {
		var entry raft.Log
		if err := log.GetLog(last, &entry); err != nil {
			return err
		}
		next.Term = entry.Term
	}
	next.Data = raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{
		{Suffrage: raft.Voter, ID: raft.ServerID(server), Address: raft.ServerAddress(server)}}})
	if err := log.StoreLog(&next); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return entrylog.SyncFolder(folder)
}
