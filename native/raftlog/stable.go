// Small raft state on disk: the vote as one value, the server id; and the removal of a log.

package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"

	"cairn.internal/native/raftlog/entrylog"
)

var (
	keyVoteTerm    = []byte("LastVoteTerm")
	keyVoteCand    = []byte("LastVoteCand")
	keyVote        = []byte("CairnVote")
	keyCurrentTerm = []byte("CurrentTerm")
)

// voteStore is a StableStore that writes term and candidate of a vote in one transaction. A crash between two would
// leave the new term beside the old candidate, and this server could vote twice in one term (replication.md 16).
type voteStore struct {
	raft.StableStore
	// onFailure receives a failed write while raft runs. raft panics on such an error, which would end the process without
	// an explanation. So the write is reported as done after onFailure closed every connection: no other server ever
	// receives that vote or term.
	onFailure func(error)
	// onVote receives each vote once it is stored; may be nil.
	onVote  func(term uint64, candidate string)
	mu      sync.Mutex
	term    uint64
	pending bool
}

func (s *voteStore) checkWrite(err error) error {
	if err == nil || s.onFailure == nil {
		return err
	}
	s.onFailure(fmt.Errorf("writing the vote or the term: %w", err))
	return nil
}

func (s *voteStore) SetUint64(key []byte, value uint64) error {
	if string(key) != string(keyVoteTerm) {
		return s.checkWrite(s.StableStore.SetUint64(key, value))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.term, s.pending = value, true
	return nil
}

func (s *voteStore) Set(key, value []byte) error {
	if string(key) != string(keyVoteCand) {
		return s.checkWrite(s.StableStore.Set(key, value))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.pending {
		return errors.New("a vote's candidate was written without its term")
	}
	s.pending = false
	if err := s.StableStore.Set(keyVote, append(numbers(s.term), value...)); err != nil {
		return s.checkWrite(err)
	}
	if s.onVote != nil {
		s.onVote(s.term, string(value))
	}
	return nil
}

func (s *voteStore) GetUint64(key []byte) (uint64, error) {
	if string(key) != string(keyVoteTerm) {
		return s.StableStore.GetUint64(key)
	}
	vote, err := s.StableStore.Get(keyVote)
	if err != nil || len(vote) < 8 {
		return 0, err
	}
	return binary.BigEndian.Uint64(vote), nil
}

func (s *voteStore) Get(key []byte) ([]byte, error) {
	if string(key) != string(keyVoteCand) {
		return s.StableStore.Get(key)
	}
	vote, err := s.StableStore.Get(keyVote)
	if err != nil || len(vote) < 8 {
		return nil, err
	}
	return vote[8:], nil
}

// deleteLog removes every entry: nothing may be appended to a log that a snapshot of another history replaced
// (replication.md 15).
func deleteLog(store raft.LogStore) error {
	first, err := store.FirstIndex()
	if err != nil {
		return err
	}
	last, err := store.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	return store.DeleteRange(first, last)
}

// ServerID returns the random id of this raft folder, created with it and never reused (replication.md 17).
func ServerID(folder string) (string, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(folder, "server")
	text, err := os.ReadFile(path)
	if err == nil {
		if !serverPattern.Match(text) {
			return "", fmt.Errorf("%s should hold 32 hex digits and holds %.40q; move the folder away to rejoin as a new server",
				path, text)
		}
		return string(text), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	id := randomID()
	if err := writeDurable(path, []byte(id)); err != nil {
		return "", err
	}
	return id, entrylog.SyncFolder(filepath.Dir(filepath.Clean(folder)))
}
