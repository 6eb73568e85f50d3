// Tests which accepted connections are kept, and which calls on them name their sender.

package raftlog

import (
	"net"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

func TestInboundConnectionsAreBoundedByServer(t *testing.T) {
	in := &transport{inbound: map[*inboundStream]struct{}{}, closed: make(chan struct{})}
	isOpen := func(stream *inboundStream) bool {
		select {
		case <-stream.conn.done:
			return false
		default:
			return true
		}
	}
	add := func(from string, count int) (added []*inboundStream) {
		for range count {
			ours, _ := net.Pipe()
			stream := newInboundStream(from, ours)
			if !in.addInbound(stream) {
				t.Fatal("a connection was refused")
			}
			added = append(added, stream)
		}
		return added
	}
	first := add("a", maxInboundPerServer)
	add("b", 5)
	for at, stream := range first {
		if !isOpen(stream) {
			t.Fatalf("connection %d was closed for those of another server", at)
		}
	}
	add("a", 2)
	for at, stream := range first {
		if isOpen(stream) != (at >= 2) {
			t.Errorf("connection %d of the first, of which two had to go, is open: %v", at, isOpen(stream))
		}
	}
	if len(in.inbound) != maxInboundPerServer+5 {
		t.Errorf("%d connections are kept", len(in.inbound))
	}
	close(in.closed)
	ours, _ := net.Pipe()
	if in.addInbound(newInboundStream("a", ours)) {
		t.Error("a closed transport took a connection")
	}
}

func TestCallsNameTheirSender(t *testing.T) {
	own, other := randomID(), randomID()
	named := func(id, address string) raft.RPC {
		return raft.RPC{Command: &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ID: []byte(id), Addr: []byte(address)}}}
	}
	for what, call := range map[string]raft.RPC{
		"another id":      named(other, own),
		"another address": named(own, other),
		"no sender":       {Command: "x"},
	} {
		if err := (&Node{}).checkSender(own, call); err == nil || !strings.HasPrefix(err.Error(), "bad_call: ") {
			t.Errorf("a call with %s: %v", what, err)
		}
	}
}
