// Tests of the move from the one bolt file of before: nothing is lost, also where a move ends halfway, and a build of
// before opens nothing.

package raftlog

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	bolt "go.etcd.io/bbolt"
)

// writeOldLog makes a folder as a build of before left it: entries with a gap, a vote and a term.
func writeOldLog(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	old, err := boltdb.New(boltdb.Options{Path: filepath.Join(folder, logFile)})
	noError(t, err)
	for index := uint64(5); index <= 205; index++ {
		if index >= 100 && index < 120 {
			continue
		}
		noError(t, old.StoreLog(&raft.Log{Index: index, Term: index / 10, Type: raft.LogCommand, Data: []byte(fmt.Sprint(index))}))
	}
	votes := &voteStore{StableStore: old}
	noError(t, votes.SetUint64(keyCurrentTerm, 21))
	noError(t, votes.SetUint64(keyVoteTerm, 20))
	noError(t, votes.Set(keyVoteCand, []byte("b")))
	noError(t, old.Close())
	return folder
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func checkMoved(t *testing.T, folder string) {
	t.Helper()
	log, err := openLog(folder)
	noError(t, err)
	defer log.Close()
	first, err := log.FirstIndex()
	noError(t, err)
	last, err := log.LastIndex()
	noError(t, err)
	if first != 5 || last != 205 {
		t.Errorf("the entries are %d to %d", first, last)
	}
	for index := uint64(1); index <= 210; index++ {
		var entry raft.Log
		err := log.GetLog(index, &entry)
		if isThere := index >= 5 && index <= 205 && (index < 100 || index >= 120); isThere != (err == nil) {
			t.Fatalf("entry %d: %v", index, err)
		} else if isThere && (string(entry.Data) != fmt.Sprint(index) || entry.Term != index/10) {
			t.Fatalf("entry %d is %+v", index, entry)
		}
	}
	votes := &voteStore{StableStore: log.votes}
	term, _ := votes.GetUint64(keyCurrentTerm)
	voted, _ := votes.GetUint64(keyVoteTerm)
	candidate, _ := votes.Get(keyVoteCand)
	if term != 21 || voted != 20 || string(candidate) != "b" {
		t.Errorf("term %d, vote in %d for %q", term, voted, candidate)
	}
}

func TestTheLogOfBeforeIsMoved(t *testing.T) {
	folder := writeOldLog(t)
	checkMoved(t, folder)
	// Again, from what was moved.
	checkMoved(t, folder)
	if _, err := bolt.Open(filepath.Join(folder, logFile), 0o600, nil); err == nil {
		t.Error("a build of before would open this folder")
	}
	if err := checkLogPresent(folder); err != nil {
		t.Error(err)
	}
}

func TestAMoveThatEndedHalfwayIsRepeated(t *testing.T) {
	folder := writeOldLog(t)
	old, err := os.ReadFile(filepath.Join(folder, logFile))
	noError(t, err)
	checkMoved(t, folder)
	for _, half := range []func(){
		// Everything but the last step was done.
		func() {},
		func() { noError(t, os.Remove(filepath.Join(folder, votesFile))) },
		func() { noError(t, os.WriteFile(filepath.Join(folder, votesFile), []byte("half"), 0o600)) },
		func() {
			noError(t, os.WriteFile(filepath.Join(folder, entriesFolder, "00000000000000000001.seg"), []byte("half"), 0o600))
		},
	} {
		noError(t, os.WriteFile(filepath.Join(folder, logFile), old, 0o600))
		half()
		if err := checkLogPresent(folder); err != nil {
			t.Fatal(err)
		}
		checkMoved(t, folder)
	}
}
