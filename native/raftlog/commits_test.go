// Checks which commit index each follower is sent: never above what it acknowledged in this term, and once.

package raftlog

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"
)

func TestFollowersAreSentWhatTheyLack(t *testing.T) {
	p := newFollowerProgress()
	due := func(term, commit uint64) string {
		text := ""
		for _, server := range []string{"a", "b"} {
			if request := p.pendingCommits(term, commit)[server]; request != nil {
				text += fmt.Sprintf("%s: %d after %d of term %d, ", server, request.LeaderCommitIndex, request.PrevLogEntry,
					request.PrevLogTerm)
			}
			p.noteDone(server, term)
		}
		return text
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	sent := func(server string, term, commit uint64) {
		p.noteSent(server, &raft.AppendEntriesRequest{Term: term, LeaderCommitIndex: commit})
	}
	check("nothing acknowledged", due(3, 9), "")
	p.noteAcked("a", 3, &raft.Log{Index: 10, Term: 2})
	if !p.lacksCommit("a", 3, 7) || p.lacksCommit("a", 3, 0) || p.lacksCommit("b", 3, 7) {
		t.Error("a lacks the commit of what it acknowledged, and b nothing")
	}
	check("acknowledged more than is committed", due(3, 7), "a: 7 after 10 of term 2, ")
	check("sent already", due(3, 7), "")
	check("of another term", due(4, 8), "")
	check("no commit beyond what it acknowledged", due(3, 20), "a: 10 after 10 of term 2, ")
	check("nothing more acknowledged", due(3, 21), "")

	// An older acknowledgement changes nothing.
	p.noteAcked("a", 3, &raft.Log{Index: 8, Term: 1})
	check("an older acknowledgement", due(3, 21), "")
	// A request with a commit index, sent before the follower had the entry, does not count for that entry.
	sent("a", 3, 30)
	p.noteAcked("a", 3, &raft.Log{Index: 11, Term: 3})
	check("sent before it had the entry", due(3, 11), "a: 11 after 11 of term 3, ")
	p.noteAcked("a", 3, &raft.Log{Index: 12, Term: 3})
	sent("a", 3, 12)
	sent("a", 3, 5)
	check("sent by raft itself", due(3, 12), "")
	// A new term begins without knowledge.
	p.noteAcked("a", 4, &raft.Log{Index: 5, Term: 4})
	check("a new term", due(4, 9), "a: 5 after 5 of term 4, ")
}

func TestOneCommitMessageAtATime(t *testing.T) {
	p := newFollowerProgress()
	p.noteAcked("a", 3, &raft.Log{Index: 10, Term: 3})
	if len(p.pendingCommits(3, 7)) != 1 {
		t.Fatal("nothing is sent")
	}
	if len(p.pendingCommits(3, 8)) != 0 {
		t.Error("sent while the message before is on its way")
	}
	p.noteDone("a", 2)
	if len(p.pendingCommits(3, 8)) != 0 {
		t.Error("a message of an earlier term that ends is taken for that of this term")
	}
	p.noteDone("unknown", 3)
	p.noteDone("a", 3)
	if len(p.pendingCommits(3, 8)) != 1 {
		t.Error("not sent after the message before ended")
	}
}

func TestFollowersAreBounded(t *testing.T) {
	p := newFollowerProgress()
	for at := range maxFollowers + 10 {
		// A heartbeat without a commit index says nothing.
		p.noteSent("quiet", &raft.AppendEntriesRequest{Term: 1})
		p.noteAcked(fmt.Sprint(at), 1, &raft.Log{Index: 2, Term: 1})
		if _, known := p.byServer["quiet"]; known || len(p.byServer) > maxFollowers {
			t.Fatalf("%d followers are remembered, quiet: %v", len(p.byServer), known)
		}
	}
	if len(p.byServer) == 0 || p.byServer[fmt.Sprint(maxFollowers+9)] == nil {
		t.Error("the newest follower is forgotten")
	}
	// A new term of a known follower needs no room.
	for at := len(p.byServer); at < maxFollowers; at++ {
		p.noteAcked(fmt.Sprint("more", at), 1, &raft.Log{Index: 2, Term: 1})
	}
	p.noteAcked("more"+fmt.Sprint(maxFollowers-1), 2, &raft.Log{Index: 3, Term: 2})
	if len(p.byServer) != maxFollowers {
		t.Errorf("a new term of a known follower forgot others: %d are left", len(p.byServer))
	}
}
