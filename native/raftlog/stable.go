// The small facts of raft on disk: the vote as one value, the server id; and how a log is removed.

package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"
)

var (
	keyVoteTerm    = []byte("LastVoteTerm")
	keyVoteCand    = []byte("LastVoteCand")
	keyVote        = []byte("CairnVote")
	keyCurrentTerm = []byte("CurrentTerm")
)

// votes is a StableStore that keeps term and candidate of a vote in one transaction: between two, a crash would leave
// the new term beside the old candidate, and a second vote in one term could be given (replication.md 16).
type votes struct {
	raft.StableStore
	// failed is told of a write that did not succeed, while raft runs. raft panics at such an error, which would end the process before it could
	// say why; so the write counts as done after failed has closed every connection: nobody ever hears of that vote or term.
	failed  func(error)
	mu      sync.Mutex
	term    uint64
	pending bool
}

func (store *votes) wrote(err error) error {
	if err == nil || store.failed == nil {
		return err
	}
	store.failed(fmt.Errorf("writing the vote or the term: %w", err))
	return nil
}

func (store *votes) SetUint64(key []byte, value uint64) error {
	if string(key) != string(keyVoteTerm) {
		return store.wrote(store.StableStore.SetUint64(key, value))
	}
	store.mu.Lock()
	defer store.mu.Unlock()
	store.term, store.pending = value, true
	return nil
}

func (store *votes) Set(key, value []byte) error {
	if string(key) != string(keyVoteCand) {
		return store.wrote(store.StableStore.Set(key, value))
	}
	store.mu.Lock()
	defer store.mu.Unlock()
	if !store.pending {
		return errors.New("a vote's candidate was stored without its term")
	}
	store.pending = false
	return store.wrote(store.StableStore.Set(keyVote, append(numbers(store.term), value...)))
}

func (store *votes) GetUint64(key []byte) (uint64, error) {
	if string(key) != string(keyVoteTerm) {
		return store.StableStore.GetUint64(key)
	}
	vote, err := store.StableStore.Get(keyVote)
	if err != nil || len(vote) < 8 {
		return 0, err
	}
	return binary.BigEndian.Uint64(vote), nil
}

func (store *votes) Get(key []byte) ([]byte, error) {
	if string(key) != string(keyVoteCand) {
		return store.StableStore.Get(key)
	}
	vote, err := store.StableStore.Get(keyVote)
	if err != nil || len(vote) < 8 {
		return nil, err
	}
	return vote[8:], nil
}

// deleteLog removes every entry: what a snapshot over another history leaves must not be appended to (replication.md 15).
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

// ServerID is the random id of this raft folder, made with it and never reused (replication.md 17).
func ServerID(folder string) (string, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(folder, "server")
	text, err := os.ReadFile(path)
	if err == nil {
		if !serverPattern.Match(text) {
			return "", fmt.Errorf("%s should hold 32 hex digits and holds %.40q; move the folder away to rejoin as a new server", path, text)
		}
		return string(text), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	id := randomID()
	return id, writeDurable(path, []byte(id))
}
