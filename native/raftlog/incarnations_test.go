// Tests that connections to an earlier incarnation of a member are closed.

package raftlog

import (
	"net"
	"testing"
	"time"
)

// A connection closes once another incarnation of the same server accepts one; other servers' connections stay open.
func TestNewIncarnationClosesOldConnections(t *testing.T) {
	in := &incarnations{byServer: map[string]*incarnation{}}
	dialed := func(server, name string) (ours, theirs net.Conn) {
		ours, theirs = net.Pipe()
		return in.add(server, name, ours), theirs
	}
	old, _ := dialed("a", "one")
	same, _ := dialed("a", "one")
	other, _ := dialed("b", "one")
	waiting := make(chan error, 1)
	go func() {
		_, err := old.Read(make([]byte, 1))
		waiting <- err
	}()
	same.Close()
	fresh, theirs := dialed("a", "two")
	select {
	case err := <-waiting:
		if err == nil {
			t.Fatal("a read from a stale incarnation succeeded")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("a read from a stale incarnation still blocks")
	}
	go theirs.Write([]byte{1})
	if _, err := fresh.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the connection to the new incarnation: %v", err)
	}
	fresh.Close()
	other.Close()
	if len(in.byServer) != 0 {
		t.Fatalf("closed connections are still tracked: %v", in.byServer)
	}
}
