// Tests that connections to a member's earlier life end.

package raftlog

import (
	"net"
	"testing"
	"time"
)

// A connection that a server answered in an earlier life ends once it answers in another, and only that server's.
func TestAnotherLifeEndsConnections(t *testing.T) {
	all := &lives{byServer: map[string]*life{}}
	dialled := func(server, name string) (ours, theirs net.Conn) {
		ours, theirs = net.Pipe()
		return all.take(server, name, ours), theirs
	}
	old, _ := dialled("a", "one")
	same, _ := dialled("a", "one")
	other, _ := dialled("b", "one")
	waiting := make(chan error, 1)
	go func() {
		_, err := old.Read(make([]byte, 1))
		waiting <- err
	}()
	same.Close()
	fresh, theirs := dialled("a", "two")
	select {
	case err := <-waiting:
		if err == nil {
			t.Fatal("the wait for an answer of an ended life was answered")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("who waited for an ended life waits on")
	}
	go theirs.Write([]byte{1})
	if _, err := fresh.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the connection of the new life: %v", err)
	}
	fresh.Close()
	other.Close()
	if len(all.byServer) != 0 {
		t.Fatalf("closed connections are kept: %v", all.byServer)
	}
}
