// Tests of what a member asks the voters it knows about a server that it does not know.

package raftlog_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cairn.internal/native/raftlog"
)

// askedVoters is a network on which only member list queries are answered, by texts that a test sets.
type askedVoters struct {
	raftlog.Network
	mu sync.Mutex
	// rosters has the reply of each server; the others close the connection.
	rosters map[string]string
	asked   []string
}

func (n *askedVoters) Dial(_ context.Context, server string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go n.serve(theirs, server)
	return ours, nil
}

func (n *askedVoters) serve(conn net.Conn, server string) {
	defer conn.Close()
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return
	}
	text := make([]byte, binary.BigEndian.Uint32(head[:]))
	var hello raftlog.Hello
	if _, err := io.ReadFull(conn, text); err != nil || json.Unmarshal(text, &hello) != nil {
		return
	}
	if hello.Pool != raftlog.QueryPool {
		return
	}
	n.mu.Lock()
	n.asked = append(n.asked, server)
	roster, known := n.rosters[server]
	n.mu.Unlock()
	if !known {
		return
	}
	accepts := fmt.Sprintf(`{"wire":%d,"fleet":"f","epoch":"e","from":%q,"last":0,"life":"1"}`, raftlog.Wire, server)
	for _, text := range []string{accepts, roster} {
		_, _ = conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	}
}

// set replaces the replies and forgets what was asked.
func (n *askedVoters) set(rosters map[string]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rosters, n.asked = rosters, nil
}

// takeAsked waits until these servers were asked, returns those that were, in order of their ids, and forgets them. A
// member goes on as soon as one has replied.
func (n *askedVoters) takeAsked(want string) string {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		n.mu.Lock()
		slices.Sort(n.asked)
		text := strings.Join(n.asked, " ")
		if text == want || time.Now().After(deadline) {
			n.asked = nil
			n.mu.Unlock()
			return text
		}
		n.mu.Unlock()
	}
}

// startAsking returns the only running member of a fleet of three voters and a non-voter, its network, and the other
// two voters in order of their ids.
func startAsking(t *testing.T, voter func(server string) bool) (*fleet, *member, *askedVoters, []string) {
	t.Helper()
	f := newFleet(t, 4, raftlog.Retention{})
	leader := f.leader()
	target := f.follower(leader)
	nonvoter := f.follower(leader, target)
	// On a busy machine the leader may change meanwhile.
	until(t, "the non-voter to be demoted", func() bool { return f.leader().node.Demote(nonvoter.id, 0) == nil })
	until(t, "the target to learn it", func() bool {
		membership, err := target.node.Membership()
		must(t, err)
		return slices.Contains(membership.Members, raftlog.Member{Server: nonvoter.id})
	})
	network := &askedVoters{}
	var others []string
	for _, m := range f.members {
		f.stop(m)
		if m != target && m != nonvoter {
			others = append(others, m.id)
		}
	}
	slices.Sort(others)
	target.voter = voter
	target.wrap = func(inner raftlog.Network) raftlog.Network {
		network.Network = inner
		return network
	}
	f.start(target, false)
	return f, target, network, others
}

func rosterOf(index uint64, server string, voter bool) string {
	other := fmt.Sprintf(`{"server":%q,"voter":true,"node":"n-x"}`, strings.Repeat("ef", 16))
	return fmt.Sprintf(`{"index":%d,"members":[%s,{"server":%q,"voter":%v,"node":"n-y"}]}`, index, other, server, voter)
}

func TestVotersAreAskedAboutAnUnknownServer(t *testing.T) {
	f, target, network, others := startAsking(t, nil)
	now := f.configuration(target)
	both := strings.Join(others, " ")
	server := func(number int) string { return fmt.Sprintf("%032x", number) }
	check := func(what, id string, want raftlog.VoterRecord, wantErr, asked string) {
		t.Helper()
		record, err := target.node.LookupVoter(id)
		if text := fmt.Sprint(err); record != want || !strings.Contains(text, wantErr) {
			t.Errorf("%s: %+v, %v", what, record, err)
		}
		if got := network.takeAsked(asked); got != asked {
			t.Errorf("%s: asked %q, want %q", what, got, asked)
		}
	}
	none := raftlog.VoterRecord{}
	unreachable := "none of the known voters could be reached"
	check("nobody replies", server(1), none, unreachable, both)
	network.set(map[string]string{others[0]: rosterOf(now, server(0), true)})
	check("one does not know it", server(2), none, "<nil>", both)
	network.set(map[string]string{others[1]: rosterOf(now-1, server(3), true)})
	check("one with an older configuration", server(3), none, "<nil>", both)
	check("again within a second", server(3), none, "<nil>", "")
	time.Sleep(1100 * time.Millisecond)
	check("again after a second", server(3), none, "<nil>", both)
	check("about a voter itself", others[0], none, "<nil>", others[1])
	for number := range 300 {
		if _, err := target.node.LookupVoter(server(100 + number)); err != nil {
			t.Fatal(err)
		}
		if kept := target.node.VoterRecords(); kept > 256 {
			t.Fatalf("%d replies are kept", kept)
		}
	}

	// The first reply that knows it ends the query, whether the others were asked by then or not.
	for _, voter := range []bool{true, false} {
		id := strings.Repeat(map[bool]string{true: "a1", false: "a2"}[voter], 16)
		want := raftlog.VoterRecord{Node: "n-y", Voter: voter}
		network.set(map[string]string{others[1]: rosterOf(now, id, voter)})
		if record, err := target.node.LookupVoter(id); record != want || err != nil {
			t.Errorf("known with voter %v: %+v, %v", voter, record, err)
		}
	}
}

// What the embedder says of a voter counts only while no voter can be asked.
func TestAdmittersCountOnlyWhileNoVoterIsReachable(t *testing.T) {
	named := []string{strings.Repeat("ab", 16), strings.Repeat("ac", 16)}
	f, target, network, others := startAsking(t, func(server string) bool { return slices.Contains(named, server) })
	dial := func(server string) error {
		_, err := (&impostor{target: target, hello: helloTo(target, server, raftlog.PoolBulk)}).Dial("", 0)
		return err
	}
	if err := dial(strings.Repeat("cd", 16)); err == nil || !strings.HasPrefix(err.Error(), "not_a_voter: ") {
		t.Errorf("a stranger: %v", err)
	}
	if err := dial(named[0]); err != nil {
		t.Errorf("a named server while no voter replies: %v", err)
	}
	network.set(map[string]string{others[0]: rosterOf(f.configuration(target), strings.Repeat("0", 32), true)})
	if err := dial(named[1]); err == nil || !strings.HasPrefix(err.Error(), "not_a_voter: ") {
		t.Errorf("a named server that the voters do not know: %v", err)
	}
}
