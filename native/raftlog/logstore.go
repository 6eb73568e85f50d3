// The entries on disk, as raft sees them. Measures each write, and tracks the index of each configuration entry, which
// raft does not report.

package raftlog

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"

	"cairn.internal/native/raftlog/entrylog"
)

const maxConfigurations = 64

// indexedConfiguration is a configuration and the index of its entry.
type indexedConfiguration struct {
	index   uint64
	servers raft.Configuration
}

// logStore is an entry log plus tracking of configuration entries, and the votes in a file of their own. At its start
// raft reads every entry after the snapshot, so none is missed.
type logStore struct {
	entries      *entrylog.Log
	votes        *boltdb.BoltStore
	writeLatency *latencyMeter
	// onFailure receives the first write error. After it this disk is not trusted, and nothing is retried.
	onFailure func(error)

	mu             sync.Mutex
	configurations []indexedConfiguration
}

// FirstIndex returns the index of the oldest entry, 0 if there is none.
func (s *logStore) FirstIndex() (uint64, error) { return s.entries.FirstIndex() }

// LastIndex returns the index of the newest entry, 0 if there is none.
func (s *logStore) LastIndex() (uint64, error) { return s.entries.LastIndex() }

// GetLog reads one entry.
func (s *logStore) GetLog(index uint64, into *raft.Log) error {
	err := s.entries.GetLog(index, into)
	var damaged *entrylog.CorruptError
	if errors.As(err, &damaged) {
		s.onFailure(fmt.Errorf("reading entry %d: %w", index, err))
	} else if err == nil {
		s.trackConfiguration(into)
	}
	return err
}

// StoreLog appends one entry.
func (s *logStore) StoreLog(entry *raft.Log) error { return s.StoreLogs([]*raft.Log{entry}) }

// StoreLogs appends entries, and returns when they are synced: a write is durable on this disk from here on. The leader
// and each follower call it. A follower tells the leader that it has entries only after it returned; raft commits an
// entry once a majority of voters, the leader included, has it. Only then is it applied, and only then is the client's
// write acknowledged (architecture.md 5). An error means that nothing can be said about what is on disk: onFailure ends
// the process.
func (s *logStore) StoreLogs(entries []*raft.Log) error {
	before := time.Now()
	if err := s.entries.StoreLogs(entries); err != nil {
		s.onFailure(fmt.Errorf("writing %d entries: %w", len(entries), err))
		return err
	}
	s.writeLatency.add(time.Since(before))
	for _, entry := range entries {
		s.trackConfiguration(entry)
	}
	return nil
}

// DeleteRange removes the entries from..to, both included.
func (s *logStore) DeleteRange(from, to uint64) error {
	if err := s.entries.DeleteRange(from, to); err != nil {
		s.onFailure(fmt.Errorf("removing entries: %w", err))
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.configurations = slices.DeleteFunc(s.configurations,
		func(known indexedConfiguration) bool { return known.index >= from && known.index <= to })
	return nil
}

// Close closes the files.
func (s *logStore) Close() error { return errors.Join(s.entries.Close(), s.votes.Close()) }

func (s *logStore) trackConfiguration(entry *raft.Log) {
	if entry.Type != raft.LogConfiguration {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := slices.BinarySearchFunc(s.configurations, entry.Index,
		func(one indexedConfiguration, index uint64) int { return int(int64(one.index) - int64(index)) })
	found := indexedConfiguration{entry.Index, raft.DecodeConfiguration(entry.Data)}
	if known {
		s.configurations[at] = found
		return
	}
	s.configurations = slices.Insert(s.configurations, at, found)
	if over := len(s.configurations) - maxConfigurations; over > 0 {
		s.configurations = slices.Delete(s.configurations, 0, over)
	}
}

// latestConfiguration returns the last configuration in the log, nil if there is none after the snapshot.
func (s *logStore) latestConfiguration() *indexedConfiguration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.configurations) == 0 {
		return nil
	}
	last := s.configurations[len(s.configurations)-1]
	return &last
}
