// Who may order, how members change, and what ends one: over loopback TCP, with a machine in memory.

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
	"testing"
	"time"

	"cairn.internal/native/raftlog"
	"cairn.internal/native/raftlog/loopback"
	"github.com/hashicorp/raft"
)

// impostor speaks raft to a member over connections that say hello as a server.
type impostor struct {
	to    *member
	hello raftlog.Hello
	open  net.Conn
}

func (other *impostor) Accept() (net.Conn, error) { select {} }
func (other *impostor) Close() error              { return nil }
func (other *impostor) Addr() net.Addr            { return &net.TCPAddr{} }

// Dial says hello; a refusal is its error.
func (other *impostor) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	conn, err := net.Dial("tcp", other.to.network.Address())
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	text, _ := json.Marshal(other.hello)
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
	other.open = conn
	return conn, nil
}

// calls makes the three calls with which a server would rule, in a name and a far term, and answers the error of each.
func (other *impostor) calls(name string) map[string]error {
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(name), Addr: []byte(name)}
	by := func() *raft.NetworkTransport {
		return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: other, MaxPool: 0, Timeout: 5 * time.Second})
	}
	to := raft.ServerID(other.to.id)
	alone := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(name), Address: raft.ServerAddress(name)}}})
	return map[string]error{
		"AppendEntries": by().AppendEntries(to, "x", &raft.AppendEntriesRequest{RPCHeader: header, Term: 99}, &raft.AppendEntriesResponse{}),
		"TimeoutNow":    by().TimeoutNow(to, "x", &raft.TimeoutNowRequest{RPCHeader: header}, &raft.TimeoutNowResponse{}),
		"RequestVote":   by().RequestVote(to, "x", &raft.RequestVoteRequest{RPCHeader: header, Term: 99, LeadershipTransfer: true}, &raft.RequestVoteResponse{}),
		"InstallSnapshot": by().InstallSnapshot(to, "x", &raft.InstallSnapshotRequest{RPCHeader: header, Term: 99, LastLogIndex: 1000, LastLogTerm: 99,
			Configuration: alone, ConfigurationIndex: 1000, Size: 3}, &raft.InstallSnapshotResponse{}, strings.NewReader("abc")),
	}
}

func helloTo(to *member, from, pool string) raftlog.Hello {
	return raftlog.Hello{Wire: raftlog.Wire, Fleet: "f", Epoch: "e", From: from, To: to.id, Pool: pool}
}

func (all *fleet) follower(leader *member, besides ...*member) *member {
	for _, one := range all.members {
		skip := one == leader || one.node == nil
		for _, other := range besides {
			skip = skip || one == other
		}
		if !skip {
			return one
		}
	}
	all.t.Fatal("no other member")
	return nil
}

// handTo has a leader hand over to that member. A first call may meet a pooled connection to the member's life before.
func (all *fleet) handTo(from, to *member) {
	all.t.Helper()
	until(all.t, "the named one to lead", func() bool {
		if !to.node.State().Leading {
			_ = from.node.Transfer(to.id)
		}
		return to.node.State().Leading
	})
}

func (all *fleet) configuration(of *member) uint64 {
	all.t.Helper()
	membership, err := of.node.Membership()
	must(all.t, err)
	return membership.Index
}

func TestWhoIsNoVoterOrdersNothing(t *testing.T) {
	all := newFleet(t, 3, raftlog.Keep{})
	acknowledged := all.put(0, 5)
	leader := all.leader()
	target := all.follower(leader)
	outcast := all.follower(leader, target)
	term := leader.node.State().Term

	// A connection from the time when it was a voter: what comes over it later counts by what it is then.
	early := &impostor{to: target, hello: helloTo(target, outcast.id, raftlog.PoolBulk)}
	if _, err := early.Dial("", 0); err != nil {
		t.Fatal(err)
	}
	must(t, leader.node.Demote(outcast.id, all.configuration(leader)))
	until(t, "the target to know", func() bool { return all.configuration(target) == all.configuration(leader) })
	// raft's type byte of AppendEntries, then what may follow: the connection ends before any of it is believed.
	old := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: &reuse{early}, MaxPool: 0, Timeout: 5 * time.Second})
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(outcast.id), Addr: []byte(outcast.id)}
	if err := old.AppendEntries(raft.ServerID(target.id), "x", &raft.AppendEntriesRequest{RPCHeader: header, Term: 99}, &raft.AppendEntriesResponse{}); err == nil {
		t.Error("a call of one who was demoted was answered")
	}
	for call, err := range (&impostor{to: target, hello: helloTo(target, outcast.id, raftlog.PoolBulk)}).calls(outcast.id) {
		if err == nil || !strings.HasPrefix(err.Error(), "not_a_voter: ") {
			t.Errorf("%s of a non-voter: %v", call, err)
		}
	}
	// A voter speaks for itself alone.
	for call, err := range (&impostor{to: target, hello: helloTo(target, leader.id, raftlog.PoolControl)}).calls(outcast.id) {
		if err == nil {
			t.Errorf("%s in another name was answered", call)
		}
	}
	for code, change := range map[string]func(*raftlog.Hello){
		"other_fleet": func(hello *raftlog.Hello) { hello.Fleet = "g" },
		"other_epoch": func(hello *raftlog.Hello) { hello.Epoch = "e0" },
	} {
		wrong := &impostor{to: target, hello: helloTo(target, leader.id, raftlog.PoolControl)}
		change(&wrong.hello)
		if _, err := wrong.Dial("", 0); err == nil || !strings.HasPrefix(err.Error(), code+": ") {
			t.Errorf("a hello of another %s: %v", code, err)
		}
	}
	if now := target.node.State(); now.Term != term || now.Leader != leader.id {
		t.Errorf("term %d and leader %s became %d and %s", term, leader.id, now.Term, now.Leader)
	}
	all.settled(append(acknowledged, all.put(10, 5)...))
}

// reuse hands out the one connection that an impostor opened before.
type reuse struct{ *impostor }

func (old *reuse) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) { return old.open, nil }

func TestAMemberThatWasAwayAsksWhoIsNew(t *testing.T) {
	all := newFleet(t, 5, raftlog.Keep{})
	acknowledged := all.put(0, 5)
	leader := all.leader()
	away := all.follower(leader)
	other := all.follower(leader, away)
	must(t, leader.node.Demote(other.id, all.configuration(leader)))
	until(t, "the one who will be away to know", func() bool { return all.configuration(away) == all.configuration(leader) })
	all.stop(away)
	must(t, leader.node.Promote(other.id, all.configuration(leader)))
	acknowledged = append(acknowledged, all.put(10, 5)...)
	all.handTo(leader, other)
	// The leader before would still send what it has, and be believed.
	all.stop(leader)
	// It holds the new leader for a non-voter, and would never hear better from anyone else.
	all.start(away, false)
	acknowledged = append(acknowledged, all.put(20, 5)...)
	until(t, "the one who was away to follow", func() bool { return all.configuration(away) == all.configuration(other) })
	all.start(leader, false)
	all.settled(acknowledged)
}

func TestChangesNameTheNewestConfiguration(t *testing.T) {
	all := newFleet(t, 3, raftlog.Keep{})
	leader := all.leader()
	other := all.follower(leader)
	before := all.configuration(leader)
	must(t, leader.node.Demote(other.id, before))
	if now := all.configuration(leader); now <= before {
		t.Fatalf("the configuration stays at entry %d", now)
	}
	for name, change := range map[string]func(string, uint64) error{
		"add": leader.node.AddNonvoter, "promote": leader.node.Promote, "demote": leader.node.Demote, "remove": leader.node.Remove} {
		if err := change(other.id, before); err == nil || !strings.HasPrefix(err.Error(), "configuration changed since") {
			t.Errorf("%s upon an old configuration: %v", name, err)
		}
	}
	// The entry of the configuration is known after a restart, too, and after the log went into a snapshot.
	now := all.configuration(leader)
	must(t, leader.node.Transfer(all.follower(leader, other).id))
	all.stop(leader)
	all.start(leader, false)
	if again := all.configuration(leader); again != now {
		t.Errorf("entry %d became %d by a restart", now, again)
	}
	next := all.leader()
	must(t, next.node.Snapshot())
	if again := all.configuration(next); again != now {
		t.Errorf("entry %d became %d by a snapshot", now, again)
	}
	must(t, next.node.Promote(other.id, now))
	all.handTo(next, leader)
	must(t, leader.node.Remove(other.id, all.configuration(leader)))
	all.put(0, 3)
	membership, err := leader.node.Membership()
	must(t, err)
	if len(membership.Members) != 2 {
		t.Errorf("members %v", membership.Members)
	}
}

func TestAnotherProfileLosesNothing(t *testing.T) {
	all := newFleet(t, 3, raftlog.Keep{})
	acknowledged := all.put(0, 5)
	home, err := raftlog.ProfileOf("home")
	must(t, err)
	for _, one := range all.members {
		must(t, one.node.SetProfile(home))
		acknowledged = append(acknowledged, all.put(10*(1+len(acknowledged)), 3)...)
	}
	all.settled(acknowledged)
	single := newFleet(t, 1, raftlog.Keep{})
	written := single.put(0, 5)
	must(t, single.members[0].node.SetProfile(home))
	single.settled(append(written, single.put(10, 5)...))
}

func TestALeaderThatCannotHandOverFollows(t *testing.T) {
	all := newFleet(t, 3, raftlog.Keep{})
	acknowledged := all.put(0, 5)
	old := all.leader()
	old.node.FailTransfers(errors.New("nobody wants to lead"))
	old.store.mu.Lock()
	old.store.behind = time.Minute
	old.store.mu.Unlock()
	all.leader(old)
	old.store.mu.Lock()
	old.store.behind = 0
	old.store.mu.Unlock()
	all.settled(append(acknowledged, all.put(10, 5)...))
	if health := old.node.Health(); health.ElectionsIn10Min == 0 || health.FsyncP99Ms <= 0 {
		t.Errorf("health %+v after an election", health)
	}
}

func TestAnOlderDiskIsQuarantined(t *testing.T) {
	all := newFleet(t, 3, raftlog.Keep{})
	acknowledged := all.put(0, 5)
	leader := all.leader()
	victim := all.follower(leader)
	all.stop(victim)
	older := map[string][]byte{}
	for _, name := range []string{"log.db", "snapshot.json"} {
		text, err := os.ReadFile(filepath.Join(victim.folder, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		must(t, err)
		older[name] = text
	}
	applied, values := victim.store.applied, victim.store.seen()
	all.start(victim, false)
	acknowledged = append(acknowledged, all.put(10, 20)...)
	until(t, "the victim to follow", func() bool { return victim.node.State().Last == leader.node.State().Last })
	all.put(40, 2)
	all.stop(victim)
	for name, text := range older {
		must(t, os.WriteFile(filepath.Join(victim.folder, name), text, 0o600))
	}
	victim.store.applied, victim.store.values = applied, values
	victim.doomed = true
	all.start(victim, false)
	select {
	case err := <-victim.fatal:
		var quarantined *raftlog.QuarantineError
		if !errors.As(err, &quarantined) || !strings.Contains(err.Error(), "acknowledged entry") {
			t.Errorf("the victim failed by %v", err)
		}
	case <-time.After(15 * time.Second):
		t.Fatal("an older disk was taken for good")
	}
	if last := victim.node.State().Last; last >= leader.node.State().Last {
		t.Error("it was brought up to date")
	}
	_ = acknowledged
}

func TestTheLogIsKeptForWhoGotACopy(t *testing.T) {
	all := newFleet(t, 2, raftlog.Keep{Trailing: 5, Threshold: 1 << 30, After: 300 * time.Millisecond})
	leader := all.leader()
	until(t, "the log to be shortened again", func() bool { return leader.node.Trailing() == 5 })
	all.put(0, 40)
	must(t, leader.node.Snapshot())
	// A third one needs a copy; while it is sent and a while after, the next snapshot drops nothing.
	folder := filepath.Join(t.TempDir(), "raft")
	id, err := raftlog.ServerID(folder)
	must(t, err)
	third := &member{id: id, folder: folder, store: newMachine(), fatal: make(chan error, 8)}
	all.members = append(all.members, third)
	all.start(third, false)
	must(t, leader.node.AddNonvoter(third.id, all.configuration(leader)))
	until(t, "the copy to be installed", func() bool { return third.store.AppliedIndex() > 40 })
	if third.store.installs != 1 {
		t.Fatalf("%d installs", third.store.installs)
	}
	if leader.node.Trailing() < 1<<40 {
		t.Error("the log is not kept after a copy was sent")
	}
	until(t, "the log to be shortened again", func() bool { return leader.node.Trailing() == 5 })
	left, err := filepath.Glob(filepath.Join(leader.folder, "copy-*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("the leader keeps %v", left)
	}
}

func TestADiskThatCannotBeWrittenEndsTheMember(t *testing.T) {
	for _, role := range []string{"leader", "follower", "alone"} {
		t.Run(role, func(t *testing.T) {
			all := newFleet(t, map[string]int{"leader": 3, "follower": 3, "alone": 1}[role], raftlog.Keep{})
			acknowledged := all.put(0, 5)
			victim := all.leader()
			if role == "follower" {
				victim = all.follower(victim)
			}
			victim.doomed = true
			victim.node.BreakDisk()
			if role != "follower" {
				if _, _, err := victim.node.Propose([]byte("lost")).Wait(); err == nil {
					t.Error("a write without a disk was acknowledged")
				}
			}
			if role != "alone" {
				acknowledged = append(acknowledged, all.put(10, 5, victim)...)
			}
			select {
			case err := <-victim.fatal:
				if !strings.Contains(err.Error(), "cannot be written") || !strings.Contains(err.Error(), victim.folder) {
					t.Errorf("it failed by %v", err)
				}
			case <-time.After(15 * time.Second):
				t.Fatal("the member goes on without a disk")
			}
			must(t, ignoreClosed(victim.node.Close()))
			victim.node = nil
			all.start(victim, role == "alone")
			all.settled(acknowledged)
		})
	}
}

func ignoreClosed(err error) error {
	if err != nil && strings.Contains(err.Error(), "database not open") {
		return nil
	}
	return err
}

func TestConnectionsOfLivesThatEndedMakeRoom(t *testing.T) {
	all := newFleet(t, 2, raftlog.Keep{})
	leader := all.leader()
	target := all.follower(leader)
	var kept []net.Conn
	for at := range 40 {
		late := &impostor{to: target, hello: helloTo(target, leader.id, raftlog.PoolBulk)}
		conn, err := late.Dial("", 0)
		if err != nil {
			t.Fatalf("connection %d: %v", at, err)
		}
		kept = append(kept, conn)
	}
	if _, err := kept[0].Read(make([]byte, 1)); err != io.EOF && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the oldest stays: %v", err)
	}
	// Those who never say hello are few, too; this machine's members share one address, so nobody is greeted meanwhile.
	var silent []net.Conn
	for range 40 {
		conn, err := net.Dial("tcp", target.network.Address())
		must(t, err)
		silent = append(silent, conn)
	}
	_ = silent[39].SetReadDeadline(time.Now().Add(4 * time.Second))
	if _, err := silent[39].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the 40th that says nothing: %v", err)
	}
	for _, conn := range append(kept, silent...) {
		conn.Close()
	}
	all.settled(all.put(0, 3))
}

func TestOnlyWhoAdmittedAJoinerOrdersThere(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "raft")
	id, err := raftlog.ServerID(folder)
	must(t, err)
	network, err := loopback.Listen(0)
	must(t, err)
	profile, _ := raftlog.ProfileOf("lan")
	admitting, stranger := strings.Repeat("ab", 16), strings.Repeat("cd", 16)
	node, err := raftlog.Start(context.Background(), raftlog.Options{Folder: folder, Fleet: "f", Epoch: "e", Profile: profile, Network: network,
		Machine: newMachine(), Voter: func(server string) bool { return server == admitting }, OnFatal: func(err error) { t.Error(err) }})
	must(t, err)
	defer node.Close()
	joiner := &member{id: id, network: network, node: node}
	if _, err := (&impostor{to: joiner, hello: helloTo(joiner, stranger, raftlog.PoolBulk)}).Dial("", 0); err == nil || !strings.HasPrefix(err.Error(), "not_a_voter: ") {
		t.Errorf("a stranger: %v", err)
	}
	taken := &impostor{to: joiner, hello: helloTo(joiner, admitting, raftlog.PoolBulk)}
	if _, err := taken.Dial("", 0); err != nil {
		t.Errorf("the admitting leader: %v", err)
	}
	// Anyone who is let in may ask who the members are.
	if _, err := (&impostor{to: joiner, hello: helloTo(joiner, stranger, raftlog.AskPool)}).Dial("", 0); err != nil {
		t.Errorf("a question: %v", err)
	}
}
