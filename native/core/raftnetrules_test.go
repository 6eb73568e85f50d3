// Tests of the network of raft members by its rules: who is a member, whose connections are closed, what is said of it.

package core

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn.internal/native/raftlog"
	"github.com/hashicorp/go-hclog"
)

func testRaftNetwork(t *testing.T) *raftNetwork {
	t.Helper()
	network := newRaftNetwork(&session{ctx: t.Context(), out: newOutbox()})
	t.Cleanup(func() { network.Close() })
	return network
}

func acceptedFrom(t *testing.T, network *raftNetwork, node *Node, address, server string) *raftConn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { theirs.Close() })
	conn := &raftConn{Conn: ours, network: network, node: node, remote: netip.MustParseAddr(address), server: server}
	network.open[conn] = struct{}{}
	return conn
}

func TestVotersVouchForAServer(t *testing.T) {
	network := testRaftNetwork(t)
	network.setMembers([]RaftMember{{"aa", "n1", true}, {"bb", "n2", false}})
	network.lookUpVoter("cc") // nobody to ask yet
	asked := 0
	records := map[string]raftlog.VoterRecord{
		"cc": {Node: "n3", Voter: true}, "dd": {Node: "n4"}, "ee": {Voter: true},
	}
	network.queryVoter = func(server string) (raftlog.VoterRecord, error) {
		asked++
		if server == "ff" {
			return raftlog.VoterRecord{Node: "n6", Voter: true}, errors.New("no voter answers")
		}
		return records[server], nil
	}
	for server, want := range map[string]string{"aa": "n1", "bb": "n2", "cc": "n3", "dd": "", "ee": "", "ff": ""} {
		network.lookUpVoter(server)
		if _, known := network.member(server); network.nodeOf(server) != want || known != (want != "") {
			t.Errorf("%s belongs to %q, not %q", server, network.nodeOf(server), want)
		}
	}
	if asked != 4 || !network.voter("aa") || network.voter("bb") || !network.voter("cc") || network.voter("dd") {
		t.Errorf("%d questions; voters: %v and %v", asked, network.members, network.confirmed)
	}
	network.queryVoter = func(server string) (raftlog.VoterRecord, error) {
		return raftlog.VoterRecord{Node: "n" + server, Voter: true}, nil
	}
	for number := len(network.confirmed); number < maxRaftMembers; number++ {
		network.lookUpVoter(fmt.Sprint(number))
	}
	if len(network.confirmed) != maxRaftMembers {
		t.Errorf("%d servers are remembered", len(network.confirmed))
	}
	if network.lookUpVoter("one more"); len(network.confirmed) != 1 {
		t.Errorf("%d servers are remembered after one more", len(network.confirmed))
	}
	// A list is newer than what a voter said.
	if network.setMembers(nil); network.nodeOf("one more") != "" {
		t.Error("what a voter said outlives a list")
	}
}

func TestChangedMembersLoseTheirConnections(t *testing.T) {
	network := testRaftNetwork(t)
	network.setMembers([]RaftMember{{"aa", "n1", true}, {"bb", "n2", true}, {"cc", "n3", true}})
	same := acceptedFrom(t, network, nil, "100.64.0.1", "aa")
	acceptedFrom(t, network, nil, "100.64.0.2", "bb")
	acceptedFrom(t, network, nil, "100.64.0.3", "cc")
	unnamed := acceptedFrom(t, network, nil, "100.64.0.4", "")
	network.setMembers([]RaftMember{{"aa", "n1", false}, {"bb", "n9", true}})
	if _, kept := network.open[same]; !kept || len(network.open) != 2 {
		t.Errorf("%d connections are left", len(network.open))
	}
	if _, kept := network.open[unnamed]; !kept {
		t.Error("a connection without a hello is closed")
	}
}

func TestWhoIsAdmittedToTheRaft(t *testing.T) {
	engine, node := startFakeEngine(t)
	network := testRaftNetwork(t)
	network.setMembers([]RaftMember{{"aa", "n1", true}})
	engine.device("100.64.0.1", "n1")
	engine.device("100.64.0.2", "n2")
	admit := func(address, server string) string {
		conn := acceptedFrom(t, network, node, address, "")
		defer conn.Close()
		if err := network.admit(raftlog.Hello{From: server}, conn); err != nil {
			return strings.Split(err.Error(), ":")[0]
		}
		return ""
	}
	for _, row := range [][3]string{
		{"100.64.0.1", "aa", ""},
		{"100.64.0.1", "bb", "not_a_member"},
		{"100.64.0.2", "aa", "other_node"},
		{"100.64.0.9", "aa", "caller_unknown"},
	} {
		if got := admit(row[0], row[1]); got != row[2] {
			t.Errorf("%s as %s: %q, not %q", row[0], row[1], got, row[2])
		}
	}
	if err := network.admit(raftlog.Hello{From: "aa"}, fakeConn{}); err == nil {
		t.Error("a connection from elsewhere is admitted")
	}
	// The identity of this node is read where it is not known yet.
	node.identity.Store(&identity{})
	if got := admit("100.64.0.1", "aa"); got != "" || node.identity.Load().id != "nSELF" {
		t.Errorf("before the first look: %q", got)
	}
	member := acceptedFrom(t, network, node, "100.64.0.1", "aa")
	moved := acceptedFrom(t, network, node, "100.64.0.2", "aa")
	unnamed := acceptedFrom(t, network, node, "100.64.0.2", "")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if network.recheck(ended); len(network.open) != 3 {
		t.Errorf("a check that ended leaves %d connections", len(network.open))
	}
	network.recheck(t.Context())
	_, memberOpen := network.open[member]
	_, movedOpen := network.open[moved]
	_, unnamedOpen := network.open[unnamed]
	if !memberOpen || movedOpen || !unnamedOpen {
		t.Errorf("open: the member's %v, another node's %v, one without a hello %v", memberOpen, movedOpen, unnamedOpen)
	}
	engine.broken = true
	if got := admit("100.64.0.1", "aa"); got != "not_ready" {
		t.Errorf("without an answer of the tailnet: %q", got)
	}
	node.identity.Store(&identity{})
	if got := admit("100.64.0.1", "aa"); got != "not_ready" {
		t.Errorf("without a network map: %q", got)
	}
}

func TestDialOfAMemberNeedsOneAndANode(t *testing.T) {
	network := testRaftNetwork(t)
	network.setMembers([]RaftMember{{"aa", "n1", true}})
	for server, want := range map[string]string{"bb": "no member", "aa": "not up"} {
		if _, err := network.Dial(t.Context(), server); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", server, err)
		}
	}
}

func TestLinesOfRaftHaveTheirValues(t *testing.T) {
	s := &session{out: newOutbox()}
	sink := raftSink{s}
	sink.Accept("raft", hclog.Warn, "lost", "peer", hclog.Fmt("%d of %d", 1, 3), "empty", hclog.Format{}, "odd")
	sink.Accept("raft", hclog.Debug, "votes")
	want := `{"event":"log","level":"info","message":"raft: lost peer=1 of 3 empty=[]"}` + "\n"
	if !slices.EqualFunc(s.out.lines, []string{want}, func(line []byte, want string) bool { return string(line) == want }) {
		t.Errorf("the log has %s", s.out.lines)
	}
}

func TestOnlyTheListenerThatFailedIsForgotten(t *testing.T) {
	network := testRaftNetwork(t)
	listen := func() net.Listener {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		return listener
	}
	current, old := listen(), listen()
	network.listener, network.node = current, &Node{}
	if network.forget(old); network.listener != current || network.node == nil {
		t.Error("the end of an old listener ends the current one")
	}
	if network.forget(current); network.listener != nil || network.node != nil {
		t.Error("a listener that failed is kept")
	}
	if _, err := current.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a listener that is forgotten is open: %v", err)
	}
}

func TestAMemberThatDoesNotEndIsNotTakenForClosed(t *testing.T) {
	instance := &raftInstance{cancel: func() {}, done: make(chan struct{})}
	host := &raftHost{instance: instance}
	if host.stop(time.Millisecond) {
		t.Error("a member that runs counts as closed")
	}
	close(instance.done)
	if !host.stop(time.Minute) || !(&raftHost{}).stop(0) {
		t.Error("a member that has ended counts as running")
	}
}
