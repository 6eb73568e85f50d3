// The entries on disk, as raft sees them. Measures each write, and tracks the index of each configuration entry, which
// raft does not report.

package raftlog

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	bolt "go.etcd.io/bbolt"
)

const maxConfigurations = 64

// indexedConfiguration is a configuration and the index of its entry.
type indexedConfiguration struct {
	index   uint64
	servers raft.Configuration
}

// logStore is raft-boltdb plus tracking of configuration entries. At its start raft reads every entry after the
// snapshot, so none is missed.
type logStore struct {
	path string
	// using is held for reading by every call on the file, for writing while the file is rewritten.
	using        sync.RWMutex
	file         *boltdb.BoltStore
	writeLatency *latencyMeter
	// onFailure receives the first write error. After it this disk is not trusted, and nothing is retried.
	onFailure func(error)

	mu             sync.Mutex
	configurations []indexedConfiguration
}

// openLog opens `<folder>/log.db`, which bolt creates with mode 0600.
func openLog(folder string) (*logStore, error) {
	path := filepath.Join(folder, logFile)
	file, err := openBolt(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the raft log %s: %w; check that no other process uses it and the disk has room",
			path, err)
	}
	// The file's name, too, must survive a loss of power: its votes count from the first one.
	if err := SyncFolder(folder); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &logStore{path: path, file: file, writeLatency: &latencyMeter{}, onFailure: func(error) {}}, nil
}

func openBolt(path string) (*boltdb.BoltStore, error) {
	return boltdb.New(boltdb.Options{Path: path, BoltOptions: &bolt.Options{Timeout: openWait}})
}

// FirstIndex returns the index of the oldest entry, 0 if there is none.
func (s *logStore) FirstIndex() (uint64, error) {
	s.using.RLock()
	defer s.using.RUnlock()
	return s.file.FirstIndex()
}

// LastIndex returns the index of the newest entry, 0 if there is none.
func (s *logStore) LastIndex() (uint64, error) {
	s.using.RLock()
	defer s.using.RUnlock()
	return s.file.LastIndex()
}

// GetLog reads one entry.
func (s *logStore) GetLog(index uint64, into *raft.Log) error {
	s.using.RLock()
	err := s.file.GetLog(index, into)
	s.using.RUnlock()
	if err == nil {
		s.trackConfiguration(into)
	}
	return err
}

// StoreLog appends one entry.
func (s *logStore) StoreLog(entry *raft.Log) error { return s.StoreLogs([]*raft.Log{entry}) }

// StoreLogs appends entries in one transaction, and returns when bolt has fsynced it: a write is durable on this disk
// from here on. The leader and each follower call it. A follower tells the leader that it has entries only after it
// returned; raft commits an entry once a majority of voters, the leader included, has it. Only then is it applied, and
// only then is the client's write acknowledged (architecture.md 5). An error means that nothing can be said about what
// is on disk: onFailure ends the process.
func (s *logStore) StoreLogs(entries []*raft.Log) error {
	before := time.Now()
	s.using.RLock()
	err := s.file.StoreLogs(entries)
	s.using.RUnlock()
	if err != nil {
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
	s.using.RLock()
	err := s.file.DeleteRange(from, to)
	s.using.RUnlock()
	if err != nil {
		s.onFailure(fmt.Errorf("removing entries: %w", err))
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.configurations = slices.DeleteFunc(s.configurations,
		func(known indexedConfiguration) bool { return known.index >= from && known.index <= to })
	return nil
}

// Set, Get, SetUint64 and GetUint64 keep the vote and the term in the same file.
func (s *logStore) Set(key, value []byte) error {
	s.using.RLock()
	defer s.using.RUnlock()
	return s.file.Set(key, value)
}

func (s *logStore) Get(key []byte) ([]byte, error) {
	s.using.RLock()
	defer s.using.RUnlock()
	return s.file.Get(key)
}

func (s *logStore) SetUint64(key []byte, value uint64) error {
	s.using.RLock()
	defer s.using.RUnlock()
	return s.file.SetUint64(key, value)
}

func (s *logStore) GetUint64(key []byte) (uint64, error) {
	s.using.RLock()
	defer s.using.RUnlock()
	return s.file.GetUint64(key)
}

// Close closes the file.
func (s *logStore) Close() error {
	s.using.Lock()
	defer s.using.Unlock()
	return s.file.Close()
}

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
