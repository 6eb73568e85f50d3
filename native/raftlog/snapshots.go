// Snapshots as references (replication.md 21): a record says up to which entry the store holds everything; the content is copied only when a peer needs it.

package raftlog

import (
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
	machine Machine
	log     raft.LogStore
	mu      sync.Mutex
	copies  atomic.Uint64
	// conflict is set when a snapshot arrives over an entry of another term.
	conflict atomic.Bool
}

func (store *snapshots) path() string { return filepath.Join(store.folder, "snapshot.json") }

// newest is the record, or nil.
func (store *snapshots) newest() (*record, error) {
	store.mu.Lock()
	defer store.mu.Unlock()
	return store.read()
}

func (store *snapshots) read() (*record, error) {
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
	return writeDurable(store.path(), text)
}

// installed says that the copy of the record is the store now, which may be ahead of the label.
func (store *snapshots) installed(applied uint64) error {
	found, err := store.newest()
	if err != nil || found == nil || found.File == "" {
		return err
	}
	file := found.File
	found.File, found.Marked.Applied = "", applied
	if err := store.write(*found); err != nil {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
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

// Open has the store copied to a file that goes with the reader. The copy may be ahead of its label; entries up to it are skipped where it is installed.
func (store *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	found, err := store.newest()
	if err != nil {
		return nil, nil, err
	}
	if found == nil || found.meta(0).ID != id {
		return nil, nil, fmt.Errorf("there is no snapshot %s any more", id)
	}
	path, keep := found.File, true
	if path == "" {
		path, keep = filepath.Join(store.folder, fmt.Sprintf("copy-%d.db", store.copies.Add(1))), false
		_ = os.Remove(path)
		ctx, cancel := context.WithTimeout(context.Background(), copyDeadline)
		defer cancel()
		if err := store.machine.Copy(ctx, path); err != nil {
			_ = os.Remove(path)
			return nil, nil, fmt.Errorf("copying the store for a peer: %w", err)
		}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return found.meta(info.Size()), &copyReader{File: file, keep: keep}, nil
}

type copyReader struct {
	*os.File
	keep bool
}

func (reader *copyReader) Close() error {
	if !reader.keep {
		_ = os.Remove(reader.Name())
	}
	return reader.File.Close()
}

// Create begins a record: one of our own, or one that a leader sends with its content.
func (store *snapshots) Create(_ raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &sink{store: store, record: record{Index: index, Term: term,
		Configuration: raft.EncodeConfiguration(configuration), ConfigurationIndex: configurationIndex}}, nil
}

type sink struct {
	store  *snapshots
	record record
	file   *os.File
	done   bool
}

func (target *sink) ID() string { return target.record.meta(0).ID }

func (target *sink) Write(content []byte) (int, error) {
	if target.file == nil {
		path := filepath.Join(target.store.folder, "received-"+target.ID()+".db")
		file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, err
		}
		target.file, target.record.File = file, path
	}
	return target.file.Write(content)
}

// Close makes content and record durable, in that order.
func (target *sink) Close() error {
	if target.done {
		return nil
	}
	target.done = true
	if target.file != nil {
		if err := errors.Join(target.file.Sync(), target.file.Close()); err != nil {
			return err
		}
		var entry raft.Log
		err := target.store.log.GetLog(target.record.Index, &entry)
		if err == nil && entry.Term != target.record.Term {
			target.store.conflict.Store(true)
		}
	}
	return target.store.write(target.record)
}

func (target *sink) Cancel() error {
	if target.done || target.file == nil {
		return nil
	}
	target.done = true
	target.file.Close()
	return os.Remove(target.file.Name())
}
