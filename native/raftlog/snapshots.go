// Snapshots as references (replication.md 21): a record says up to which entry the store holds everything; the content is copied only when a peer needs it.

package raftlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

const copyDeadline = 10 * time.Minute

// Marked is what the store says when it was made durable up to an entry.
type Marked struct {
	Applied uint64 `json:"applied"`
	Seq     uint64 `json:"seq"`
	Chain   string `json:"chain"`
}

// record is a snapshot on disk. File is set while a copy from a peer waits to be installed.
type record struct {
	Index              uint64 `json:"index"`
	Term               uint64 `json:"term"`
	Configuration      []byte `json:"configuration"`
	ConfigurationIndex uint64 `json:"configurationIndex"`
	Marked             Marked `json:"marked"`
	File               string `json:"file,omitempty"`
}

// snapshots is the SnapshotStore over `<folder>/snapshot.json`: the newest record only, since every record means the one living store.
type snapshots struct {
	folder  string
	fleet   string
	epoch   string
	machine Machine
	log     raft.LogStore
	// hold keeps the log while a copy is made and sent; what it answers is called at the end.
	hold func() (release func())
	// failed is told when the folder cannot be written.
	failed func(error)
	mu     sync.Mutex
	loaded bool
	cached *record
	known  *configured
	copies atomic.Uint64
	// conflict is set when a snapshot arrives over an entry of another term.
	conflict atomic.Bool
}

func (store *snapshots) path() string { return filepath.Join(store.folder, recordFile) }

// newest is the record, or nil.
func (store *snapshots) newest() (*record, error) {
	store.mu.Lock()
	defer store.mu.Unlock()
	return store.read()
}

// configured is the configuration of the record, nil where there is none.
func (store *snapshots) configured() (*configured, error) {
	store.mu.Lock()
	defer store.mu.Unlock()
	_, err := store.read()
	return store.known, err
}

// read answers a copy of the record; the lock is held.
func (store *snapshots) read() (*record, error) {
	if !store.loaded {
		found, err := store.load()
		if err != nil {
			return nil, err
		}
		store.remember(found)
	}
	if store.cached == nil {
		return nil, nil
	}
	copied := *store.cached
	return &copied, nil
}

func (store *snapshots) remember(found *record) {
	store.loaded, store.cached = true, found
	if found != nil {
		store.known = &configured{found.ConfigurationIndex, raft.DecodeConfiguration(found.Configuration)}
	}
}

func (store *snapshots) load() (*record, error) {
	text, err := os.ReadFile(store.path())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found record
	if err := json.Unmarshal(text, &found); err != nil || found.Index == 0 || len(found.Configuration) == 0 {
		return nil, fmt.Errorf("the snapshot record %s cannot be read (%v); rejoin as a new server", store.path(), err)
	}
	return &found, nil
}

func (store *snapshots) write(next record) error {
	store.mu.Lock()
	defer store.mu.Unlock()
	found, err := store.read()
	if err != nil {
		return err
	}
	if found != nil && found.Index > next.Index {
		return fmt.Errorf("a snapshot at entry %d is older than the one at %d", next.Index, found.Index)
	}
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := writeDurable(store.path(), text); err != nil {
		err = fmt.Errorf("writing the snapshot record %s: %w", store.path(), err)
		store.failed(err)
		return err
	}
	if found != nil && found.File != "" && found.File != next.File {
		_ = os.Remove(found.File)
	}
	store.remember(&next)
	return nil
}

// sweep removes what an interrupted copy or transfer left.
func (store *snapshots) sweep() error {
	found, err := store.newest()
	if err != nil {
		return err
	}
	for _, pattern := range []string{"received-*.db", "copy-*.db", "copy-*.db-*"} {
		left, err := filepath.Glob(filepath.Join(store.folder, pattern))
		if err != nil {
			return err
		}
		for _, path := range left {
			if found != nil && path == found.File {
				continue
			}
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// installed says that the copy of the record is the store now, which may be ahead of the label.
func (store *snapshots) installed(applied uint64) error {
	found, err := store.newest()
	if err != nil || found == nil || found.File == "" {
		return err
	}
	found.File, found.Marked.Applied = "", applied
	return store.write(*found)
}

func (found *record) meta(size int64) *raft.SnapshotMeta {
	return &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: fmt.Sprintf("%d-%d", found.Term, found.Index), Index: found.Index, Term: found.Term,
		Configuration: raft.DecodeConfiguration(found.Configuration), ConfigurationIndex: found.ConfigurationIndex, Size: size,
	}
}

func (store *snapshots) List() ([]*raft.SnapshotMeta, error) {
	found, err := store.newest()
	if err != nil || found == nil {
		return nil, err
	}
	return []*raft.SnapshotMeta{found.meta(0)}, nil
}

// Open has the store copied to a file that goes with the reader, behind a header that says what it is. The copy may be ahead of its label;
// entries up to it are skipped where it is installed.
func (store *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	found, err := store.newest()
	if err != nil {
		return nil, nil, err
	}
	if found == nil || found.meta(0).ID != id {
		return nil, nil, fmt.Errorf("there is no snapshot %s any more", id)
	}
	if found.File != "" {
		// What was received is installed by its path, and not read here.
		return found.meta(0), io.NopCloser(bytes.NewReader(nil)), nil
	}
	release := store.hold()
	path := filepath.Join(store.folder, fmt.Sprintf("copy-%d.db", store.copies.Add(1)))
	ctx, cancel := context.WithTimeout(context.Background(), copyDeadline)
	defer cancel()
	_ = os.Remove(path)
	err = store.machine.Copy(ctx, path)
	var source *copyReader
	if err == nil {
		source, err = openCopy(path, store.fleet, store.epoch, release)
	}
	if err != nil {
		release()
		_ = os.Remove(path)
		return nil, nil, fmt.Errorf("copying the store for a peer: %w", err)
	}
	return found.meta(source.size), source, nil
}

// Create begins a record: one of our own, or one that a leader sends with its content.
func (store *snapshots) Create(_ raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &sink{store: store, record: record{Index: index, Term: term,
		Configuration: raft.EncodeConfiguration(configuration), ConfigurationIndex: configurationIndex}}, nil
}

// sink is a record being made. own is set by our own snapshots; what a peer sends has content instead.
type sink struct {
	store    *snapshots
	record   record
	own      bool
	received *received
	done     bool
}

func (target *sink) ID() string { return target.record.meta(0).ID }

func (target *sink) Write(content []byte) (int, error) {
	if target.received == nil {
		path := filepath.Join(target.store.folder, "received-"+target.ID()+".db")
		target.received = &received{path: path, fleet: target.store.fleet, epoch: target.store.epoch}
	}
	count, err := target.received.Write(content)
	var disk *diskError
	if errors.As(err, &disk) {
		target.store.failed(err)
	}
	return count, err
}

// Close makes content and record durable, in that order.
func (target *sink) Close() error {
	if target.done {
		return nil
	}
	target.done = true
	if !target.own {
		if target.received == nil {
			return errors.New("a snapshot without content")
		}
		if err := target.received.finish(); err != nil {
			target.received.remove()
			var disk *diskError
			if errors.As(err, &disk) {
				target.store.failed(err)
			}
			return err
		}
		target.record.File = target.received.path
		var entry raft.Log
		err := target.store.log.GetLog(target.record.Index, &entry)
		if err == nil && entry.Term != target.record.Term {
			target.store.conflict.Store(true)
		}
	}
	return target.store.write(target.record)
}

func (target *sink) Cancel() error {
	if !target.done && target.received != nil {
		target.received.remove()
	}
	target.done = true
	return nil
}
