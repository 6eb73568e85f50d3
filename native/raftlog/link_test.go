// Tests of what the link to the store counts, and of what the handshake and the followers' progress record.

package raftlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
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
	soon, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	if err := l.WaitApplied(soon, maxUnappliedEntries); err != nil {
		t.Errorf("waiting for the last entry that is applied: %v", err)
	}
	third := make(chan error, 1)
	go func() { third <- l.Apply(0, batch(1+2*maxUnappliedEntries)) }()
	l.close()
	if err := <-third; err == nil {
		t.Error("a closed link accepted a batch")
	}
}

func TestLinkBoundsTheBytesThatWait(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	l := newLink(ours, 0)
	defer l.close()
	send := func(index uint64, size int) chan error {
		done := make(chan error, 1)
		go func() { done <- l.Apply(index-1, []Entry{{Index: index, Term: 1, Data: make([]byte, size)}}) }()
		return done
	}
	// Alone even one that is larger than the bound goes.
	if err := <-send(1, maxUnappliedBytes+1); err != nil {
		t.Fatal(err)
	}
	l.noteApplied(1)
	if err := <-send(2, maxUnappliedBytes/2); err != nil {
		t.Fatal(err)
	}
	third := send(3, maxUnappliedBytes/2)
	select {
	case <-third:
		t.Fatal("more bytes were sent than may wait")
	case <-time.After(50 * time.Millisecond):
	}
	l.noteApplied(2)
	if err := <-third; err != nil {
		t.Fatal(err)
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

func TestLinkAsksTheStore(t *testing.T) {
	ours, theirs := net.Pipe()
	l := newLink(ours, 0)
	read := make(chan error, 1)
	go func() { read <- l.read(ours, nil, nil) }()
	ctx := context.Background()
	// next reads one frame of the kind, and answers a request with the text.
	next := func(kind byte, text string) chan []byte {
		seen := make(chan []byte, 1)
		go func() {
			got, payload, err := ReadFrame(theirs)
			if err != nil || got != kind {
				t.Errorf("a frame of type %d instead of %d: %v", got, kind, err)
			}
			if text != "" {
				// One that was not asked for is left out.
				_, _ = theirs.Write(EncodeFrame(FrameAnswer, numbers(999), []byte(`{"error":"x"}`)))
				_, _ = theirs.Write(EncodeFrame(FrameAnswer, payload[:8], []byte(text)))
			}
			seen <- payload
		}()
		return seen
	}
	seen := next(FrameAsk, `{"ok":{"applied":7,"seq":3}}`)
	if marked, err := l.Mark(ctx, "a", 5, 2); err != nil || marked != (Marked{Applied: 7, Seq: 3}) {
		t.Errorf("marked %+v, %v", marked, err)
	}
	if asked := string((<-seen)[8:]); asked != `{"do":"mark","server":"a","index":5,"term":2}` {
		t.Errorf("asked %s", asked)
	}
	next(FrameAsk, `{"error":"no room"}`)
	if err := l.Copy(ctx, "/x"); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("a refusal: %v", err)
	}
	batch := []Entry{{Index: 9, Term: 2, Data: []byte("x")}}
	seen = next(FrameCommitted, "")
	if err := l.Apply(8, batch); err != nil {
		t.Fatal(err)
	}
	if got := EncodeFrame(FrameCommitted, <-seen); !bytes.Equal(got, EncodeCommitted(8, batch)) {
		t.Errorf("the store got %x", got)
	}
	next(FrameAsk, `{"ok":{"index":12,"term":2}}`)
	if now, err := l.Install(ctx, "a", "/x", 12, 2); err != nil || now != (Applied{Index: 12, Term: 2, Server: "a"}) {
		t.Errorf("installed %+v, %v", now, err)
	}
	if l.AppliedIndex() != 12 || l.ApplyLag() != 0 || l.entries != 0 || l.bytes != 0 {
		t.Errorf("after an install: entry %d, %d entries of %d bytes wait", l.AppliedIndex(), l.entries, l.bytes)
	}
	seen = next(FrameFatal, "")
	if err := l.sendJSON(FrameFatal, map[string]string{"code": "x"}); err != nil || string(<-seen) != `{"code":"x"}` {
		t.Errorf("a message to the store: %v", err)
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	seen = next(FrameAsk, "")
	if err := l.Copy(short, "/x"); !errors.Is(err, context.DeadlineExceeded) || len(l.pending) != 0 {
		t.Errorf("a store that does not answer: %v, %d requests wait", err, len(l.pending))
	}
	<-seen
	seen = next(FrameAsk, "")
	failed := make(chan error, 1)
	go func() { failed <- l.Copy(ctx, "/x") }()
	<-seen
	l.close()
	if err := <-failed; !errors.Is(err, ErrStoreGone) {
		t.Errorf("a store that is gone: %v", err)
	}
	if err := l.Copy(ctx, "/x"); !errors.Is(err, ErrStoreGone) {
		t.Errorf("a store that was gone: %v", err)
	}
	if err := <-read; err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the end of the connection: %v", err)
	}
}

func TestFramesOfTheStoreAreChecked(t *testing.T) {
	type got struct {
		proposed, erased []uint64
		err              error
	}
	readAll := func(frames ...[]byte) (found got) {
		l := newLink(nil, 3)
		propose := func(ticket uint64, _ []byte) { found.proposed = append(found.proposed, ticket) }
		found.err = l.read(bytes.NewReader(bytes.Join(frames, nil)), propose,
			func(index uint64) { found.erased = append(found.erased, index) })
		return found
	}
	all := readAll(EncodeFrame(FramePropose, numbers(4), []byte("x")), EncodeFrame(FrameErase, numbers(5)),
		EncodeFrame(FrameApplied, numbers(6)), EncodeFrame(FramePropose, numbers(7)))
	if all.err != nil || fmt.Sprint(all.proposed, all.erased) != "[4 7] [5]" {
		t.Errorf("%+v", all)
	}
	failed := errors.New("the disk is broken")
	for reason, ends := range map[error]bool{io.EOF: true, net.ErrClosed: true, syscall.ECONNRESET: true, failed: false} {
		if err := newLink(nil, 0).read(iotest.ErrReader(reason), nil, nil); (err == nil) != ends {
			t.Errorf("a connection that ends by %v: %v", reason, err)
		}
	}
	for name, frame := range map[string][]byte{
		"without a number":   EncodeFrame(FramePropose, make([]byte, 7)),
		"of an unknown type": EncodeFrame(FrameCommitted, numbers(1)),
		"without a size":     {0, 0, 0, 0, FramePropose},
		"that is no JSON":    EncodeFrame(FrameAnswer, numbers(1), []byte("{")),
	} {
		if found := readAll(frame); found.err == nil {
			t.Errorf("a frame %s was taken", name)
		}
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

func TestAHelloWithoutAShapeIsOneOfAStranger(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() { _ = writeJSON(theirs, Hello{From: strings.Repeat("ab", 16), To: "no server"}) }()
	// Strangers share one line in the log; they could name any number of servers.
	if hello, admitted, err := (&Node{}).handshake(ours); admitted || err == nil || hello.From == "" {
		t.Errorf("%+v was admitted: %v (%v)", hello, admitted, err)
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
	followers.noteAcked(server, 2, &raft.Log{Index: 7, Term: 2})
	if followers.lacksCommit(server, 2, 7) {
		t.Error("a server that acknowledged an entry twice lacks its commit index")
	}
	followers.noteAcked(server, 2, &raft.Log{Index: 8, Term: 2})
	if !followers.lacksCommit(server, 2, 8) {
		t.Error("a server that acknowledged an entry after others committed it does not lack the commit index")
	}
	if followers.lacksCommit(server, 2, 7) {
		t.Error("a server lacks a commit index that does not exist yet")
	}
}
