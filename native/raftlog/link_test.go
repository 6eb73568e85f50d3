// Tests of what the link to the store counts, and of what the handshake and the followers' progress record.

package raftlog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

func TestLinkWaitsForTheStore(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() {
		for {
			if _, _, err := ReadFrame(theirs); err != nil {
				return
			}
		}
	}()
	l := newLink(ours, 0)
	batch := func(from uint64) []Entry {
		entries := make([]Entry, maxUnappliedEntries)
		for at := range entries {
			entries[at] = Entry{Index: from + uint64(at), Term: 1}
		}
		return entries
	}
	if err := l.Apply(0, batch(1)); err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() { second <- l.Apply(0, batch(1+maxUnappliedEntries)) }()
	select {
	case <-second:
		t.Fatal("a batch was sent before the previous one was applied")
	case <-time.After(50 * time.Millisecond):
	}
	short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := l.WaitApplied(short, maxUnappliedEntries); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting ended with %v", err)
	}
	l.noteApplied(maxUnappliedEntries)
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	third := make(chan error, 1)
	go func() { third <- l.Apply(0, batch(1+2*maxUnappliedEntries)) }()
	l.close()
	if err := <-third; err == nil {
		t.Error("a closed link accepted a batch")
	}
}

func TestLinkCountsTheSilenceOfTheStore(t *testing.T) {
	ours, theirs := net.Pipe()
	l := newLink(ours, 0)
	read := make(chan error, 1)
	go func() { read <- l.read(ours, nil, nil) }()
	send := func(successor string) {
		t.Helper()
		if _, err := theirs.Write(EncodeFrame(FrameAlive, []byte(successor))); err != nil {
			t.Fatal(err)
		}
	}
	shown := func(cond func(silence time.Duration, successor string) bool) bool {
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if cond(l.MayLead()) {
				return true
			}
		}
		return false
	}
	const long = 60 * time.Millisecond
	if !shown(func(silence time.Duration, _ string) bool { return silence > long }) {
		t.Error("a store that never reported is not silent")
	}
	send("")
	if !shown(func(silence time.Duration, _ string) bool { return silence < long/2 }) {
		t.Error("a report did not end the silence")
	}
	other := randomID()
	send(other)
	if !shown(func(silence time.Duration, successor string) bool { return silence > long && successor == other }) {
		t.Error("a store that names another server may lead")
	}
	send("")
	if !shown(func(silence time.Duration, successor string) bool { return silence < long/2 && successor == "" }) {
		t.Error("a store that can take writes again may not lead")
	}
	send("me")
	if err := <-read; err == nil {
		t.Error("a name that is no server id was accepted")
	}
}

func TestProgressOfApplyIsNoSilence(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	l := newLink(ours, 0)
	for index := uint64(1); index <= 3; index++ {
		if err := l.Apply(index-1, []Entry{{Index: index, Term: 1, Data: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
	}
	for index := uint64(1); index <= 2; index++ {
		time.Sleep(40 * time.Millisecond)
		l.noteApplied(index)
		silence, _ := l.MayLead()
		if lag := l.ApplyLag(); max(lag, silence) > 30*time.Millisecond {
			t.Errorf("after entry %d: behind %v, silent %v", index, lag, silence)
		}
	}
	time.Sleep(40 * time.Millisecond)
	if lag := l.ApplyLag(); lag < 40*time.Millisecond {
		t.Errorf("a batch that is not applied for 40 ms counts as %v", lag)
	}
	l.noteApplied(3)
	if lag := l.ApplyLag(); lag != 0 {
		t.Errorf("with nothing queued the lag is %v", lag)
	}
	if err := l.noteAlive(randomID()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(40 * time.Millisecond)
	l.noteApplied(4)
	if silence, _ := l.MayLead(); silence < 40*time.Millisecond {
		t.Error("a store that names another server may lead once it applied something")
	}
}

func TestRefusalsAreLoggedOncePerMinute(t *testing.T) {
	var written bytes.Buffer
	log := hclog.New(&hclog.LoggerOptions{Output: &written})
	conn, _ := net.Pipe()
	refused := &refusedHellos{bySender: map[string]*refusedHello{}}
	for range 5 {
		refused.note(log, conn, randomID(), false, errors.New("not_a_member: x"))
	}
	member := randomID()
	for range 3 {
		refused.note(log, conn, member, true, errors.New("other_epoch: y"))
	}
	if lines := strings.Count(written.String(), "\n"); lines != 2 || !strings.Contains(written.String(), member) {
		t.Errorf("%d lines for strangers and a member:\n%s", lines, written.String())
	}
	refused.bySender[""].loggedAt = time.Now().Add(-refusalLogInterval)
	refused.note(log, conn, randomID(), false, errors.New("not_a_member: x"))
	if !strings.Contains(written.String(), "earlier=4") {
		t.Errorf("the refusals in between were not counted:\n%s", written.String())
	}
	for range maxRefusals + 5 {
		refused.note(log, conn, randomID(), true, errors.New("other_epoch: y"))
		if len(refused.bySender) > maxRefusals {
			t.Fatalf("%d senders are remembered", len(refused.bySender))
		}
	}
}

// addressed is a connection from an address.
type addressed struct {
	net.Conn
	address net.Addr
}

func (c addressed) RemoteAddr() net.Addr { return c.address }

func TestHandshakesAreBoundedByHostAndInAll(t *testing.T) {
	pending := &handshakes{byHost: map[string]int{}}
	begin := func(host int) func() {
		done, ok := pending.begin(addressed{address: &net.TCPAddr{IP: net.IPv4(10, 0, 0, byte(host)), Port: 1}})
		if ok != (done != nil) {
			t.Fatal("a handshake that begins has an end, and no other")
		}
		return done
	}
	if _, ok := pending.begin(addressed{address: &net.UnixAddr{Name: "x"}}); ok {
		t.Error("a connection without a host began")
	}
	var ends []func()
	fill := func(host int) int {
		for count := 0; ; count++ {
			done := begin(host)
			if done == nil {
				return count
			}
			ends = append(ends, done)
		}
	}
	if count := fill(1); count != maxHandshakesPerHost {
		t.Errorf("%d handshakes of one host are pending", count)
	}
	ends[0]()
	ends = ends[1:]
	if count := fill(1); count != 1 {
		t.Errorf("%d began after one of a host ended", count)
	}
	for host := 2; host <= 1+maxHandshakes/maxHandshakesPerHost; host++ {
		fill(host)
	}
	if len(ends) != maxHandshakes || pending.count != maxHandshakes {
		t.Errorf("%d handshakes are pending, %d counted", len(ends), pending.count)
	}
	for _, done := range ends {
		done()
	}
	if pending.count != 0 || len(pending.byHost) != 0 {
		t.Errorf("%d handshakes of %d hosts are left", pending.count, len(pending.byHost))
	}
}

func TestLateAcknowledgementsNeedTheCommit(t *testing.T) {
	followers, server := newFollowerProgress(), randomID()
	followers.noteAcked(server, 2, &raft.Log{Index: 7, Term: 2})
	followers.noteSent(server, &raft.AppendEntriesRequest{Term: 2, LeaderCommitIndex: 7})
	if followers.lacksCommit(server, 2, 7) {
		t.Error("a server that was sent the commit index lacks it")
	}
	followers.noteAcked(server, 2, &raft.Log{Index: 8, Term: 2})
	if !followers.lacksCommit(server, 2, 8) {
		t.Error("a server that acknowledged an entry after others committed it does not lack the commit index")
	}
	if followers.lacksCommit(server, 2, 7) {
		t.Error("a server lacks a commit index that does not exist yet")
	}
}
