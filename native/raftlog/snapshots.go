// Snapshots by reference (replication.md 21): a record says up to which entry the store holds everything; the content
// is copied only when a peer needs it.

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
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

const copyDeadline = 10 * time.Minute

// Marked is the store's reply when it was made durable up to an entry.
type Marked struct {
	Applied uint64 `json:"applied"`
	Seq     uint64 `json:"seq"`
	Chain   string `json:"chain"`
}

// record is a snapshot on disk: what the store holds.
type record struct {
	Index              uint64 `json:"index"`
	Term               uint64 `json:"term"`
	Configuration      []byte `json:"configuration"`
	ConfigurationIndex uint64 `json:"configurationIndex"`
	Marked             Marked `json:"marked"`
}

// snapshots is the SnapshotStore over `<folder>/snapshot.json`. It keeps only the newest record, since every record
// refers to the one live store.
type snapshots struct {
	folder string
	fleet  string
	epoch  string
	store  StateMachine
	log    raft.LogStore
	// holdLog keeps the log while a copy is made and sent; release is called at the end.
	holdLog func() (release func())
	// onFailure is called when the folder cannot be written.
	onFailure     func(error)
	mu            sync.Mutex
	loaded        bool
	cached        *record
	configuration *indexedConfiguration
	copies        atomic.Uint64
	// noStore reports whether a copy takes the place of a missing store; olderLabel is set if this member's own record
	// is kept for it.
	noStore    func() bool
	olderLabel atomic.Bool
}

// lacksStore reports whether this member waits for a copy of the store.
func (s *snapshots) lacksStore() bool { return s.noStore != nil && s.noStore() }

func (s *snapshots) path() string { return filepath.Join(s.folder, recordFile) }

// newest returns the record, or nil.
func (s *snapshots) newest() (*record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read()
}

// latestConfiguration returns the configuration of the record, nil if there is none.
func (s *snapshots) latestConfiguration() (*indexedConfiguration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.read()
	return s.configuration, err
}

// read returns a copy of the record. The caller holds mu.
func (s *snapshots) read() (*record, error) {
	if !s.loaded {
		found, err := s.load()
		if err != nil {
			return nil, err
		}
		s.setCached(found)
	}
	if s.cached == nil {
		return nil, nil
	}
	copied := *s.cached
	return &copied, nil
}

func (s *snapshots) setCached(found *record) {
	s.loaded, s.cached = true, found
	if found != nil {
		s.configuration = &indexedConfiguration{found.ConfigurationIndex, raft.DecodeConfiguration(found.Configuration)}
	}
}

func (s *snapshots) load() (*record, error) {
	text, err := os.ReadFile(s.path())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found record
	if err := json.Unmarshal(text, &found); err != nil || found.Index == 0 || len(found.Configuration) == 0 {
		return nil, fmt.Errorf("the snapshot record %s cannot be read (%v); rejoin as a new server", s.path(), err)
	}
	return &found, nil
}

func (s *snapshots) write(next record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.read()
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
	if err := writeDurable(s.path(), text); err != nil {
		err = fmt.Errorf("writing the snapshot record %s: %w", s.path(), err)
		s.onFailure(err)
		return err
	}
	s.setCached(&next)
	return nil
}

// removeStale removes what an interrupted copy, transfer, or rewrite of the log by a build of before left.
func (s *snapshots) removeStale() error {
	waiting, err := s.pending()
	if err != nil {
		return err
	}
	for _, pattern := range []string{"received-*.db", "copy-*.db", "copy-*.db-*", logFile + ".new"} {
		stale, err := filepath.Glob(filepath.Join(s.folder, pattern))
		if err != nil {
			return err
		}
		for _, path := range stale {
			if waiting != nil && filepath.Base(path) == waiting.File {
				continue
			}
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *record) meta(size int64) *raft.SnapshotMeta {
	return &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: fmt.Sprintf("%d-%d", r.Term, r.Index), Index: r.Index, Term: r.Term,
		Configuration: raft.DecodeConfiguration(r.Configuration), ConfigurationIndex: r.ConfigurationIndex, Size: size,
	}
}

func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	found, err := s.newest()
	if err != nil || found == nil {
		return nil, err
	}
	return []*raft.SnapshotMeta{found.meta(0)}, nil
}

// Open copies the store to a file, deleted by the reader's Close, and returns it behind its header. The copy may be
// ahead of the snapshot's index; the installing member skips the entries that it already contains.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	waiting, err := s.pending()
	if err != nil {
		return nil, nil, err
	}
	if waiting != nil && waiting.id() == id {
		// A received copy is installed from its path and not read here.
		return waiting.Snapshot.meta(0), io.NopCloser(bytes.NewReader(nil)), nil
	}
	found, err := s.newest()
	if err != nil {
		return nil, nil, err
	}
	if found == nil || found.meta(0).ID != id {
		return nil, nil, fmt.Errorf("snapshot %s no longer exists", id)
	}
	if s.lacksStore() {
		return nil, nil, errors.New("this member has no store to copy")
	}
	release := s.holdLog()
	path := filepath.Join(s.folder, fmt.Sprintf("copy-%d.db", s.copies.Add(1)))
	ctx, cancel := context.WithTimeout(context.Background(), copyDeadline)
	defer cancel()
	_ = os.Remove(path)
	err = s.store.Copy(ctx, path)
	var source *copyReader
	if err == nil {
		source, err = openCopy(path, s.fleet, s.epoch, release)
	}
	if err != nil {
		release()
		_ = os.Remove(path)
		return nil, nil, fmt.Errorf("copying the store for a peer: %w", err)
	}
	return found.meta(source.size), source, nil
}

// Create begins a record: one of our own, or one that a leader sends with its content.
func (s *snapshots) Create(_ raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &sink{store: s, record: record{Index: index, Term: term,
		Configuration: raft.EncodeConfiguration(configuration), ConfigurationIndex: configurationIndex}}, nil
}

// sink is a record being made. own is set by our own snapshots; a snapshot from a peer has content instead.
type sink struct {
	store    *snapshots
	record   record
	own      bool
	received *incomingCopy
	done     bool
}

// ID names a received copy by its file, and one of our own by term and index.
func (s *sink) ID() string {
	if s.received != nil {
		return filepath.Base(s.received.path)
	}
	return s.record.meta(0).ID
}

func (s *sink) Write(content []byte) (int, error) {
	if s.received == nil {
		// Each transfer has a file of its own: a broken one must not touch a copy that is pending.
		path := filepath.Join(s.store.folder, "received-"+randomID()+".db")
		s.received = &incomingCopy{path: path, fleet: s.store.fleet, epoch: s.store.epoch}
	}
	count, err := s.received.Write(content)
	return count, s.checkDisk(err)
}

// Close makes the content durable, then its name: the snapshot record, or for a received copy the name of what is to be
// installed.
func (s *sink) Close() error {
	if s.done {
		return nil
	}
	s.done = true
	if s.own {
		return s.store.write(s.record)
	}
	if s.received == nil {
		return errors.New("the snapshot has no content")
	}
	err := s.received.finish()
	if err == nil {
		err = s.keepNewerRecord()
	}
	if err == nil {
		err = s.store.setPending(pendingCopy{Snapshot: s.record, File: filepath.Base(s.received.path)})
	}
	if err != nil {
		s.received.remove()
	}
	return s.checkDisk(err)
}

func (s *sink) Cancel() error {
	if !s.done && s.received != nil {
		s.received.remove()
	}
	s.done = true
	return nil
}

// checkDisk ends the member at an error of its disk. A copy that does not fit on it is only refused: the log is whole,
// and removing the copy frees the space.
func (s *sink) checkDisk(err error) error {
	var disk *diskError
	if errors.As(err, &disk) && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		s.store.onFailure(err)
	}
	return err
}
