// Checks the log lines from which the chaos checker counts leaders and votes.

package raftlog

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

func TestOneLineForEachVoteAndEachTermThatIsLed(t *testing.T) {
	var written bytes.Buffer
	events := &raftEvents{log: hclog.New(&hclog.LoggerOptions{Output: &written}), server: "aa", epoch: "e1"}
	store := &voteStore{StableStore: raft.NewInmemStore(), onVote: events.votes}
	if err := store.SetUint64(keyVoteTerm, 7); err != nil {
		t.Fatal(err)
	}
	if written.Len() != 0 {
		t.Fatalf("a vote was logged before it was stored: %s", &written)
	}
	if err := store.Set(keyVoteCand, []byte("bb")); err != nil {
		t.Fatal(err)
	}
	for _, term := range []uint64{8, 8, 9} {
		events.leads(term)
	}
	for _, line := range []string{
		"event: kind=votes server=aa epoch=e1 term=7 for=bb",
		"event: kind=leads server=aa epoch=e1 term=8",
		"event: kind=leads server=aa epoch=e1 term=9",
	} {
		if strings.Count(written.String(), line) != 1 {
			t.Errorf("not once %q in:\n%s", line, &written)
		}
	}
}
