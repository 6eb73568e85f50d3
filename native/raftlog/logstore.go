// The entries on disk, as raft sees them: each write is measured, and configurations are kept in sight, since raft tells
// which members there are, but not the entry that says so.

package raftlog

import (
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

// configured is a configuration and the entry that holds it.
type configured struct {
	index   uint64
	servers raft.Configuration
}

// logStore is raft-boltdb with a watch over what is written. raft reads every entry behind the snapshot at its start, so none is missed.
type logStore struct {
	*boltdb.BoltStore
	syncs *meter
	// failed is told of the first write that did not succeed: after it nothing on this disk is trusted, and nothing tried again.
	failed func(error)

	mu             sync.Mutex
	configurations []configured
}

// openLog opens `<folder>/log.db`, made 0600 by bolt.
func openLog(folder string) (*logStore, error) {
	path := filepath.Join(folder, logFile)
	store, err := boltdb.New(boltdb.Options{Path: path, BoltOptions: &bolt.Options{Timeout: openWait}})
	if err != nil {
		return nil, fmt.Errorf("cannot open the raft log %s: %w; see that no other process has it open and the disk has room", path, err)
	}
	return &logStore{BoltStore: store, syncs: &meter{}, failed: func(error) {}}, nil
}

// GetLog reads one entry.
func (log *logStore) GetLog(index uint64, into *raft.Log) error {
	err := log.BoltStore.GetLog(index, into)
	if err == nil {
		log.see(into)
	}
	return err
}

// StoreLog appends one entry.
func (log *logStore) StoreLog(entry *raft.Log) error { return log.StoreLogs([]*raft.Log{entry}) }

// StoreLogs appends entries in one transaction.
func (log *logStore) StoreLogs(entries []*raft.Log) error {
	before := time.Now()
	if err := log.BoltStore.StoreLogs(entries); err != nil {
		log.failed(fmt.Errorf("writing %d entries: %w", len(entries), err))
		return err
	}
	log.syncs.add(time.Since(before))
	for _, entry := range entries {
		log.see(entry)
	}
	return nil
}

// DeleteRange forgets entries, both ends included.
func (log *logStore) DeleteRange(from, to uint64) error {
	if err := log.BoltStore.DeleteRange(from, to); err != nil {
		log.failed(fmt.Errorf("removing entries: %w", err))
		return err
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	log.configurations = slices.DeleteFunc(log.configurations, func(known configured) bool { return known.index >= from && known.index <= to })
	return nil
}

func (log *logStore) see(entry *raft.Log) {
	if entry.Type != raft.LogConfiguration {
		return
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	at, known := slices.BinarySearchFunc(log.configurations, entry.Index, func(one configured, index uint64) int { return int(int64(one.index) - int64(index)) })
	found := configured{entry.Index, raft.DecodeConfiguration(entry.Data)}
	if known {
		log.configurations[at] = found
		return
	}
	log.configurations = slices.Insert(log.configurations, at, found)
	if over := len(log.configurations) - maxConfigurations; over > 0 {
		log.configurations = slices.Delete(log.configurations, 0, over)
	}
}

// newest is the last configuration in the log, nil when none is behind the snapshot.
func (log *logStore) newest() *configured {
	log.mu.Lock()
	defer log.mu.Unlock()
	if len(log.configurations) == 0 {
		return nil
	}
	last := log.configurations[len(log.configurations)-1]
	return &last
}
