// A member that goes on without the others: the last way out, asked for by a file in the raft folder. Everything that this disk holds is committed
// and applied, then a new history begins elsewhere (cairn recover, promote --accept-loss).

package raftlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
)

// AloneFile in a raft folder makes the next start take the other voters out of the configuration.
const AloneFile = "alone"

// standAlone appends a configuration with this server as its only voter, as the leader of the last term could have done, if the folder asks for it.
// A start that ends before the file is gone does it again, which changes nothing.
func standAlone(server string, log raft.LogStore, snapshot *record, folder string) error {
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
		return fmt.Errorf("there is nothing in %s to go on from", folder)
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
	return syncFolder(folder)
}
