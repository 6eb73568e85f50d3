// Tests of the voter checks: which servers may send calls, and how connections are bounded.

package raftlog_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cairn.internal/native/raftlog"
	"cairn.internal/native/raftlog/loopback"
	"github.com/hashicorp/raft"
)

// impostor speaks raft to a member over connections whose hello names another server.
type impostor struct {
	target *member
	hello  raftlog.Hello
	open   net.Conn
}

func (i *impostor) Accept() (net.Conn, error) { select {} }
func (i *impostor) Close() error              { return nil }
func (i *impostor) Addr() net.Addr            { return &net.TCPAddr{} }

// Dial sends the hello; a refusal is returned as an error.
func (i *impostor) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	conn, err := net.Dial("tcp", i.target.network.Address())
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	text, _ := json.Marshal(i.hello)
	_, _ = conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, err
	}
	var reply struct{ Refused string }
	_ = json.Unmarshal(answer, &reply)
	if reply.Refused != "" {
		return nil, errors.New(reply.Refused)
	}
	i.open = conn
	return conn, nil
}

// sendAll makes the calls with which a leader would take control, as server name and in a high term, and returns the
// error of each.
func (i *impostor) sendAll(name string) map[string]error {
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(name), Addr: []byte(name)}
	newTransport := func() *raft.NetworkTransport {
		return raft.NewNetworkTransportWithConfig(
			&raft.NetworkTransportConfig{Stream: i, MaxPool: 0, Timeout: 5 * time.Second})
	}
	target := raft.ServerID(i.target.id)
	single := raft.EncodeConfiguration(
		raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(name), Address: raft.ServerAddress(name)}}})
	return map[string]error{
		"AppendEntries": newTransport().AppendEntries(target, "x", &raft.AppendEntriesRequest{RPCHeader: header, Term: 99},
			&raft.AppendEntriesResponse{}),
		"TimeoutNow": newTransport().TimeoutNow(target, "x", &raft.TimeoutNowRequest{RPCHeader: header},
			&raft.TimeoutNowResponse{}),
		"RequestVote": newTransport().RequestVote(target, "x",
			&raft.RequestVoteRequest{RPCHeader: header, Term: 99, LeadershipTransfer: true}, &raft.RequestVoteResponse{}),
		"InstallSnapshot": newTransport().InstallSnapshot(
			target,
			"x",
			&raft.InstallSnapshotRequest{RPCHeader: header, Term: 99, LastLogIndex: 1000, LastLogTerm: 99,
				Configuration: single, ConfigurationIndex: 1000, Size: 3},
			&raft.InstallSnapshotResponse{},
			strings.NewReader("abc"),
		),
	}
}

func helloTo(target *member, from, pool string) raftlog.Hello {
	return raftlog.Hello{Wire: raftlog.Wire, Fleet: "f", Epoch: "e", From: from, To: target.id, Pool: pool}
}

func TestNonVotersAreRefused(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{})
	acknowledged := f.put(0, 5)
	leader := f.leader()
	target := f.follower(leader)
	nonvoter := f.follower(leader, target)
	term := leader.node.State().Term

	// Opened while the server was a voter; later calls on it are judged by its role at that time.
	early := &impostor{target: target, hello: helloTo(target, nonvoter.id, raftlog.PoolBulk)}
	if _, err := early.Dial("", 0); err != nil {
		t.Fatal(err)
	}
	must(t, leader.node.Demote(nonvoter.id, f.configuration(leader)))
	until(t, "the target to learn it", func() bool { return f.configuration(target) == f.configuration(leader) })
	// An AppendEntries call on the old connection: it must be closed before raft acts on the call.
	old := raft.NewNetworkTransportWithConfig(
		&raft.NetworkTransportConfig{Stream: &reuse{early}, MaxPool: 0, Timeout: 5 * time.Second})
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(nonvoter.id), Addr: []byte(nonvoter.id)}
	request := &raft.AppendEntriesRequest{RPCHeader: header, Term: 99}
	if err := old.AppendEntries(raft.ServerID(target.id), "x", request, &raft.AppendEntriesResponse{}); err == nil {
		t.Error("a call of a demoted server succeeded")
	}
	demoted := &impostor{target: target, hello: helloTo(target, nonvoter.id, raftlog.PoolBulk)}
	for call, err := range demoted.sendAll(nonvoter.id) {
		if err == nil || !strings.HasPrefix(err.Error(), "not_a_voter: ") {
			t.Errorf("%s of a non-voter: %v", call, err)
		}
	}
	// A voter may not send in another server's name.
	voter := &impostor{target: target, hello: helloTo(target, leader.id, raftlog.PoolControl)}
	for call, err := range voter.sendAll(nonvoter.id) {
		if err == nil {
			t.Errorf("%s in another server's name succeeded", call)
		}
	}
	for code, change := range map[string]func(*raftlog.Hello){
		"other_fleet": func(hello *raftlog.Hello) { hello.Fleet = "g" },
		"other_epoch": func(hello *raftlog.Hello) { hello.Epoch = "e0" },
	} {
		wrong := &impostor{target: target, hello: helloTo(target, leader.id, raftlog.PoolControl)}
		change(&wrong.hello)
		if _, err := wrong.Dial("", 0); err == nil || !strings.HasPrefix(err.Error(), code+": ") {
			t.Errorf("a hello of another %s: %v", code, err)
		}
	}
	if now := target.node.State(); now.Term != term || now.Leader != leader.id {
		t.Errorf("term %d and leader %s became %d and %s", term, leader.id, now.Term, now.Leader)
	}
	f.checkSettled(append(acknowledged, f.put(10, 5)...))
}

// reuse dials by returning the connection that an impostor opened before.
type reuse struct{ *impostor }

func (r *reuse) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) { return r.open, nil }

func TestReturningMemberQueriesUnknownVoters(t *testing.T) {
	f := newFleet(t, 5, raftlog.Retention{})
	acknowledged := f.put(0, 5)
	leader := f.leader()
	away := f.follower(leader)
	other := f.follower(leader, away)
	must(t, leader.node.Demote(other.id, f.configuration(leader)))
	until(t, "the follower to learn it", func() bool { return f.configuration(away) == f.configuration(leader) })
	f.stop(away)
	must(t, leader.node.Promote(other.id, f.configuration(leader)))
	acknowledged = append(acknowledged, f.put(10, 5)...)
	f.transferTo(leader, other)
	// The previous leader would still send its entries, and be accepted.
	f.stop(leader)
	// It takes the new leader for a non-voter, and receives the newer configuration from no other server.
	f.start(away, false)
	acknowledged = append(acknowledged, f.put(20, 5)...)
	until(t, "the restarted follower to catch up", func() bool { return f.configuration(away) == f.configuration(other) })
	f.start(leader, false)
	f.checkSettled(acknowledged)
}

func TestConnectionsAreBounded(t *testing.T) {
	f := newFleet(t, 2, raftlog.Retention{})
	leader := f.leader()
	target := f.follower(leader)
	var kept []net.Conn
	for at := range 40 {
		late := &impostor{target: target, hello: helloTo(target, leader.id, raftlog.PoolBulk)}
		conn, err := late.Dial("", 0)
		if err != nil {
			t.Fatalf("connection %d: %v", at, err)
		}
		kept = append(kept, conn)
	}
	if _, err := kept[0].Read(make([]byte, 1)); err != io.EOF && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the oldest connection stays open: %v", err)
	}
	// Connections without a hello are bounded, too. All members share one address here, so none can connect meanwhile.
	var silent []net.Conn
	for range 40 {
		conn, err := net.Dial("tcp", target.network.Address())
		must(t, err)
		silent = append(silent, conn)
	}
	_ = silent[39].SetReadDeadline(time.Now().Add(4 * time.Second))
	if _, err := silent[39].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the 40th silent connection: %v", err)
	}
	for _, conn := range append(kept, silent...) {
		conn.Close()
	}
	f.checkSettled(f.put(0, 3))
}

// A leader that is killed while it sends a copy ends nothing: the member must go on without the rest.
func TestStalledCopyIsGivenUp(t *testing.T) {
	defer raftlog.SetCopyIdleTimeout(raftlog.SetCopyIdleTimeout(300 * time.Millisecond))
	f := newFleet(t, 2, raftlog.Retention{})
	acknowledged := f.put(0, 3)
	leader := f.leader()
	target := f.follower(leader)
	sender := &impostor{target: target, hello: helloTo(target, leader.id, raftlog.PoolBulk)}
	if _, err := sender.Dial("", 0); err != nil {
		t.Fatal(err)
	}
	rest, stalls := io.Pipe()
	defer stalls.Close()
	term := leader.node.State().Term
	go func() {
		transport := raft.NewNetworkTransportWithConfig(
			&raft.NetworkTransportConfig{Stream: &reuse{sender}, MaxPool: 0, Timeout: 8 * time.Second})
		single := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{
			{ID: raft.ServerID(leader.id), Address: raft.ServerAddress(leader.id)}}})
		request := &raft.InstallSnapshotRequest{
			RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(leader.id), Addr: []byte(leader.id)},
			Term:      term, LastLogIndex: 1000, LastLogTerm: term, Configuration: single, ConfigurationIndex: 1000, Size: 10}
		_ = transport.InstallSnapshot(raft.ServerID(target.id), "x", request, &raft.InstallSnapshotResponse{}, rest)
	}()
	// The transport sets the deadline of the connection.
	if _, err := sender.open.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection of a copy that stalls stays open")
	}
	f.checkSettled(append(acknowledged, f.put(10, 3)...))
}

// A notice about an entry that this server has is no loss.
func TestNoticeOfAnEntryThatIsThere(t *testing.T) {
	f := newFleet(t, 2, raftlog.Retention{})
	acknowledged := f.put(0, 3)
	leader := f.leader()
	target := f.follower(leader)
	notice := &impostor{target: target, hello: helloTo(target, leader.id, raftlog.DataLossPool)}
	notice.hello.Last = target.node.State().Last
	if _, err := notice.Dial("", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := notice.open.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the notice ended by %v", err)
	}
	f.checkSettled(append(acknowledged, f.put(10, 3)...))
}

// A stranger's hello is refused by the admission, whatever else is wrong with it.
func TestStrangersLearnNothing(t *testing.T) {
	f := newFleet(t, 2, raftlog.Retention{})
	leader := f.leader()
	target := f.follower(leader)
	stranger := strings.Repeat("cd", 16)
	target.network.Set(stranger, loopback.Rule{CutIn: true})
	for name, change := range map[string]func(*raftlog.Hello){
		"":           func(*raftlog.Hello) {},
		"the wire":   func(hello *raftlog.Hello) { hello.Wire++ },
		"the fleet":  func(hello *raftlog.Hello) { hello.Fleet = "g" },
		"the epoch":  func(hello *raftlog.Hello) { hello.Epoch = "e0" },
		"the server": func(hello *raftlog.Hello) { hello.To = strings.Repeat("ef", 16) },
	} {
		asking := &impostor{target: target, hello: helloTo(target, stranger, raftlog.QueryPool)}
		change(&asking.hello)
		if _, err := asking.Dial("", 0); err == nil || err.Error() != "server "+stranger+" is cut off" {
			t.Errorf("a stranger that does not know %s: %v", name, err)
		}
	}
	// Without a shape there is no reply at all.
	asking := &impostor{target: target, hello: helloTo(target, "x", raftlog.QueryPool)}
	if _, err := asking.Dial("", 0); !errors.Is(err, io.EOF) {
		t.Errorf("a hello without a server id: %v", err)
	}
}

// heldConn delays what is read until release is closed.
type heldConn struct {
	net.Conn
	release chan struct{}
}

func (c *heldConn) Read(into []byte) (int, error) {
	<-c.release
	return c.Conn.Read(into)
}

// holdingNetwork holds the replies on connections that it dials while release is set.
type holdingNetwork struct {
	raftlog.Network
	release atomic.Pointer[chan struct{}]
}

func (n *holdingNetwork) Dial(ctx context.Context, server string) (net.Conn, error) {
	conn, err := n.Network.Dial(ctx, server)
	if release := n.release.Load(); release != nil && err == nil {
		return &heldConn{conn, *release}, nil
	}
	return conn, err
}

func TestAcknowledgementOvertakesAHello(t *testing.T) {
	f := newFleet(t, 2, raftlog.Retention{})
	written := f.put(0, 3)
	leader := f.leader()
	follower := f.follower(leader)
	release := make(chan struct{})
	leader.held.release.Store(&release)
	dialed := make(chan error, 1)
	go func() {
		conn, err := leader.node.Dial(follower.id)
		if err == nil {
			conn.Close()
		}
		dialed <- err
	}()
	// The follower has replied with the end of its log by now; it acknowledges more on the other connections.
	time.Sleep(100 * time.Millisecond)
	written = append(written, f.put(10, 3)...)
	close(release)
	if err := <-dialed; err != nil {
		t.Errorf("a reply that was overtaken: %v", err)
	}
	leader.held.release.Store(nil)
	f.checkSettled(written)
}

func TestJoinerAcceptsOnlyItsAdmitter(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "raft")
	id, err := raftlog.ServerID(folder)
	must(t, err)
	network, err := loopback.Listen(0)
	must(t, err)
	profile, _ := raftlog.ProfileOf("lan")
	admitting, stranger := strings.Repeat("ab", 16), strings.Repeat("cd", 16)
	node, err := raftlog.Start(context.Background(), raftlog.Options{
		Folder:       folder,
		Fleet:        "f",
		Epoch:        "e",
		Profile:      profile,
		Network:      network,
		StateMachine: newMemoryStore(),
		Voter:        func(server string) bool { return server == admitting },
		OnFatal:      func(err error) { t.Error(err) },
	})
	must(t, err)
	defer node.Close()
	joiner := &member{id: id, network: network, node: node}
	if _, err := (&impostor{target: joiner, hello: helloTo(joiner, stranger, raftlog.PoolBulk)}).Dial("", 0); err == nil ||
		!strings.HasPrefix(err.Error(), "not_a_voter: ") {
		t.Errorf("a stranger: %v", err)
	}
	taken := &impostor{target: joiner, hello: helloTo(joiner, admitting, raftlog.PoolBulk)}
	if _, err := taken.Dial("", 0); err != nil {
		t.Errorf("the admitting leader: %v", err)
	}
	// It knows no voter yet that it could ask.
	if record, err := node.LookupVoter(stranger); err == nil || record != (raftlog.VoterRecord{}) ||
		!strings.Contains(err.Error(), "none of the known voters could be reached") {
		t.Errorf("what it learns of a stranger: %+v, %v", record, err)
	}
	// Any admitted server may query the member list.
	if _, err := (&impostor{target: joiner, hello: helloTo(joiner, stranger, raftlog.QueryPool)}).Dial("", 0); err != nil {
		t.Errorf("a question: %v", err)
	}
}

func TestServersThatDoNotVoteMayAskForTheMembers(t *testing.T) {
	f := newFleet(t, 1, raftlog.Retention{})
	target := f.members[0]
	pools := map[string]bool{raftlog.QueryPool: true, raftlog.PoolBulk: false, raftlog.PoolControl: false}
	for pool, served := range pools {
		_, err := (&impostor{target: target, hello: helloTo(target, strings.Repeat("cd", 16), pool)}).Dial("", 0)
		if (err == nil) != served {
			t.Errorf("the pool %s: %v", pool, err)
		}
	}
}

func TestOnlySuccessInThisTermAcknowledges(t *testing.T) {
	f := newFleet(t, 1, raftlog.Retention{})
	m := f.members[0]
	f.put(0, 5)
	state := m.node.State()
	other := strings.Repeat("ab", 16)
	for _, row := range []struct {
		name    string
		term    uint64
		last    uint64
		success bool
		want    uint64
	}{
		{"a refusal", state.Term, state.Last, false, 0},
		{"another term", state.Term - 1, state.Last, true, 0},
		{"no entries", state.Term, 0, true, 0},
		{"an entry", state.Term, state.Last - 1, true, state.Last - 1},
		{"a refusal later", state.Term, state.Last, false, state.Last - 1},
	} {
		request := &raft.AppendEntriesRequest{Term: row.term, PrevLogEntry: 1}
		if row.last > 0 {
			request.Entries = []*raft.Log{{Index: row.last, Term: row.term}}
		}
		m.node.NoteAcknowledged(other, request, &raft.AppendEntriesResponse{Success: row.success})
		if got := m.node.DurableIndexOf(other); got != row.want {
			t.Errorf("%s: %d are durable there, want %d", row.name, got, row.want)
		}
	}
}
