// Opens the log of a raft folder. In folders of before, one bolt file had entries and votes: its content is moved, and
// a text is left in its place, which a build of before refuses to open.

package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	bolt "go.etcd.io/bbolt"

	"cairn.internal/native/raftlog/entrylog"
)

// movedText is what is left in log.db once everything has moved.
const movedText = "The entries of this raft log are in entries/, its votes in votes.db. " +
	"A build of cairn that opens this file as a database is too old for this folder: use a newer one.\n"

// movedEntries bounds one write of a move.
const movedEntries = 64

// confBucket is where raft-boltdb keeps votes and terms.
var confBucket = []byte("conf")

// openLog opens entries and votes of a raft folder, and makes them in a new one.
func openLog(folder string) (*logStore, error) {
	log, err := openFiles(folder)
	if err != nil {
		return nil, fmt.Errorf("cannot open the raft log in %s: %w; check that no other process uses it and the disk has room",
			folder, err)
	}
	return log, nil
}

func openFiles(folder string) (*logStore, error) {
	mark, err := os.ReadFile(filepath.Join(folder, logFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err == nil && !bytes.Equal(mark, []byte(movedText)) {
		if err := moveLog(folder); err != nil {
			return nil, err
		}
	}
	log, opened := openParts(folder)
	if opened != nil {
		return nil, opened
	}
	if errors.Is(err, os.ErrNotExist) {
		// Last: where it is, the others were made, and their loss is noticed.
		err = writeDurable(filepath.Join(folder, logFile), []byte(movedText))
		if err != nil {
			return nil, errors.Join(err, log.Close())
		}
	}
	return log, nil
}

// openParts opens entries and votes.
func openParts(folder string) (*logStore, error) {
	// First: it is locked while it is open, so no second process gets to the entries.
	votes, err := boltdb.New(boltdb.Options{
		Path: filepath.Join(folder, votesFile), BoltOptions: &bolt.Options{Timeout: openWait}})
	if err != nil {
		return nil, err
	}
	entries, err := entrylog.Open(filepath.Join(folder, entriesFolder))
	if err != nil {
		return nil, errors.Join(err, votes.Close())
	}
	// The names, too, must survive a loss of power: votes count from the first one.
	if err := entrylog.SyncFolder(folder); err != nil {
		return nil, errors.Join(err, votes.Close(), entries.Close())
	}
	return &logStore{entries: entries, votes: votes, writeLatency: &latencyMeter{}, onFailure: func(error) {}}, nil
}

// moveLog moves the content of log.db. Until the text is in its place, log.db has everything, and an attempt that did
// not end is repeated from the beginning.
func moveLog(folder string) error {
	path := filepath.Join(folder, logFile)
	if err := errors.Join(os.RemoveAll(filepath.Join(folder, entriesFolder)),
		os.RemoveAll(filepath.Join(folder, votesFile))); err != nil {
		return err
	}
	old, err := boltdb.New(boltdb.Options{Path: path, BoltOptions: &bolt.Options{Timeout: openWait}})
	if err != nil {
		return err
	}
	log, err := openParts(folder)
	if err != nil {
		return errors.Join(err, old.Close())
	}
	if err := errors.Join(moveEntries(old, log.entries), old.Close(), log.entries.Close(), log.votes.Close()); err != nil {
		return err
	}
	if err := copyVotes(path, filepath.Join(folder, votesFile)); err != nil {
		return err
	}
	return writeDurable(path, []byte(movedText))
}

// moveEntries copies entries with their indexes, which may have gaps.
func moveEntries(from raft.LogStore, to *entrylog.Log) error {
	first, err := from.FirstIndex()
	if err != nil {
		return err
	}
	last, err := from.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	var batch []*raft.Log
	for index := first; index <= last; index++ {
		entry := &raft.Log{}
		if err := from.GetLog(index, entry); err == nil {
			batch = append(batch, entry)
		} else if !errors.Is(err, raft.ErrLogNotFound) {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		if len(batch) == movedEntries || index == last {
			if err := to.StoreLogs(batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	return nil
}

// copyVotes copies what raft-boltdb keeps besides entries, durably.
func copyVotes(from, to string) error {
	source, err := bolt.Open(from, 0o600, &bolt.Options{Timeout: openWait, ReadOnly: true})
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := bolt.Open(to, 0o600, &bolt.Options{Timeout: openWait})
	if err != nil {
		return err
	}
	copied := source.View(func(read *bolt.Tx) error {
		return target.Update(func(write *bolt.Tx) error {
			into, err := write.CreateBucketIfNotExists(confBucket)
			if err != nil || read.Bucket(confBucket) == nil {
				return err
			}
			return read.Bucket(confBucket).ForEach(func(key, value []byte) error { return into.Put(key, value) })
		})
	})
	return errors.Join(copied, target.Close())
}
