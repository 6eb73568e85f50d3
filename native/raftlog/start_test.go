// Checks which stores may continue with which raft folder (replication.md 14), when a member is told that its disk is
// an older copy (replication.md 17), and that votes and calls name whom they are of.

package raftlog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

func TestStoreAndFolderMustAgree(t *testing.T) {
	const usable, withoutStore, quarantine = "usable", "without store", "quarantine"
	snapshotAt := func(index, term, applied uint64) *record {
		return &record{Index: index, Term: term, Marked: Marked{Applied: applied}}
	}
	for _, row := range []struct {
		name        string
		applied     Applied
		snapshot    *record
		first, last uint64
		want        string
	}{
		{"nothing at all", Applied{}, nil, 1, 0, usable},
		{"nothing applied yet", Applied{}, nil, 1, 20, usable},
		{"applied, and the folder is empty", Applied{Index: 1, Term: 2}, nil, 1, 0, quarantine},
		{"in the log", Applied{Index: 15, Term: 2}, nil, 1, 20, usable},
		{"the last of the log", Applied{Index: 20, Term: 2}, nil, 1, 20, usable},
		{"beyond the log", Applied{Index: 21, Term: 2}, nil, 1, 20, quarantine},
		{"in the log with another term", Applied{Index: 15, Term: 3}, nil, 1, 20, withoutStore},
		{"before the log", Applied{Index: 5, Term: 2}, nil, 11, 20, withoutStore},
		{"at the snapshot, which the log follows", Applied{Index: 10, Term: 1}, snapshotAt(10, 1, 10), 11, 20, usable},
		{"at the snapshot with another term", Applied{Index: 10, Term: 2}, snapshotAt(10, 1, 10), 11, 20, withoutStore},
		{"beyond a snapshot, in the log", Applied{Index: 15, Term: 2}, snapshotAt(10, 1, 10), 11, 20, usable},
		{"beyond a snapshot, beyond the log", Applied{Index: 21, Term: 2}, snapshotAt(10, 1, 10), 11, 20, quarantine},
		{"a copy ahead of its record and the log", Applied{Index: 30, Term: 9}, snapshotAt(25, 2, 30), 11, 20, usable},
		{"other than that copy", Applied{Index: 29, Term: 9}, snapshotAt(25, 2, 30), 11, 20, quarantine},
		{"a copy within the log, with another term", Applied{Index: 15, Term: 9}, snapshotAt(10, 1, 15), 11, 20,
			withoutStore},
		{"a copy at the end of the log, with another term", Applied{Index: 20, Term: 9}, snapshotAt(10, 1, 20), 11, 20,
			withoutStore},
	} {
		log := raft.NewInmemStore()
		for index := row.first; index <= row.last; index++ {
			if err := log.StoreLog(&raft.Log{Index: index, Term: 2}); err != nil {
				t.Fatal(err)
			}
		}
		err := checkConsistent(row.applied, row.snapshot, log)
		got := fmt.Sprint(err)
		var unusable *StoreError
		var quarantined *QuarantineError
		switch {
		case err == nil:
			got = usable
		case errors.As(err, &unusable):
			got = withoutStore
		case errors.As(err, &quarantined):
			got = quarantine
		}
		if got != row.want {
			t.Errorf("%s: %s, want %s (%v)", row.name, got, row.want, err)
		}
	}
}

func TestDataLossIsNotifiedOncePerInterval(t *testing.T) {
	table := &acks{byServer: map[string]*ack{}}
	now := time.Now()
	if table.mayNotify("a", now) {
		t.Error("a server that acknowledged nothing is notified of a loss")
	}
	table.note("a", 3, 10, 10)
	for _, row := range []struct {
		after time.Duration
		want  bool
	}{
		{0, true},
		{dataLossNoticeInterval - 1, false},
		{dataLossNoticeInterval, true},
		{dataLossNoticeInterval + 1, false},
	} {
		if got := table.mayNotify("a", now.Add(row.after)); got != row.want {
			t.Errorf("after %s: %v", row.after, got)
		}
	}
}

// countingNetwork counts what is dialed, and reaches nobody.
type countingNetwork struct {
	Network
	dialed int
}

func (n *countingNetwork) Dial(context.Context, string) (net.Conn, error) {
	n.dialed++
	return nil, net.ErrClosed
}

func TestANoticeIsSentOncePerInterval(t *testing.T) {
	network := &countingNetwork{}
	n := &Node{options: Options{Network: network, Log: hclog.NewNullLogger()}, acks: &acks{byServer: map[string]*ack{}}}
	n.acks.note("a", 3, 10, 10)
	for range 3 {
		n.notifyDataLoss("a", 10)
	}
	n.notifyDataLoss("b", 10)
	if network.dialed != 1 {
		t.Errorf("%d notices", network.dialed)
	}
}

func TestAcknowledgementsAreBounded(t *testing.T) {
	table := &acks{byServer: map[string]*ack{}}
	for at := range maxAcks + 1 {
		table.note(fmt.Sprint(at), 3, 10, 10)
	}
	if len(table.byServer) > maxAcks {
		t.Errorf("%d servers are remembered", len(table.byServer))
	}
	// What a server acknowledged never gets less: not by an older request, nor by an earlier commit index.
	table.note("a", 3, 10, 10)
	for _, commit := range []uint64{10, 3} {
		if durable := table.durableIndex("a", 3, commit); durable != 10 {
			t.Errorf("10 acknowledged and committed: %d", durable)
		}
		table.note("a", 3, 4, 4)
	}
	if durable := table.durableIndex("a", 3, 20); durable != 10 {
		t.Errorf("10 acknowledged, 20 committed: %d", durable)
	}
}

func TestAVoteNeedsATermOfItsOwn(t *testing.T) {
	store := &voteStore{StableStore: raft.NewInmemStore()}
	if err := store.Set(keyVoteCand, []byte("a")); err == nil {
		t.Error("a candidate was stored without a term")
	}
	if err := errors.Join(store.SetUint64(keyVoteTerm, 7), store.Set(keyVoteCand, []byte("a"))); err != nil {
		t.Fatal(err)
	}
	if err := store.Set(keyVoteCand, []byte("b")); err == nil {
		t.Error("two candidates were stored for one term")
	}
	if candidate, err := store.Get(keyVoteCand); err != nil || string(candidate) != "a" {
		t.Errorf("the vote of term 7 is for %q (%v)", candidate, err)
	}
}

func TestCallsNameTheirSenderTwice(t *testing.T) {
	for _, header := range []raft.RPCHeader{
		{ID: []byte("a"), Addr: []byte("b")},
		{ID: []byte("b"), Addr: []byte("a")},
		{ID: []byte("b"), Addr: []byte("b")},
		{},
	} {
		call := raft.RPC{Command: &raft.RequestVoteRequest{RPCHeader: header}}
		if err := (&Node{}).checkSender("a", call); err == nil || !strings.HasPrefix(err.Error(), "bad_call: ") {
			t.Errorf("a call of a as %q at %q: %v", header.ID, header.Addr, err)
		}
	}
}
