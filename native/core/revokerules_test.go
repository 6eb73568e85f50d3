// Tests of revocation by its rules: whose connections are closed, and what is said of it.

package core

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
)

func TestWhoseConnectionsAreClosed(t *testing.T) {
	engine, node := startFakeEngine(t)
	var revoked []RevokedEvent
	node.emit = func(event any) {
		if found, ok := event.(RevokedEvent); ok {
			revoked = append(revoked, found)
		}
	}
	engine.device("100.64.0.1", "n1")
	engine.device("100.64.0.2", "n2")
	open := func(address string, check *callerCheck) *trackedConn {
		remote := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 1))
		ours, theirs := net.Pipe()
		t.Cleanup(func() { theirs.Close() })
		tracked := node.conns.admit(fakeConn{Conn: ours, remote: remote})
		tracked.check.Store(check)
		return tracked
	}
	proved := func(address string) *callerCheck {
		check, err := node.checkCaller(t.Context(), netip.MustParseAddr(address))
		if err != nil || check.refusal != nil {
			t.Fatal(check, err)
		}
		return check
	}
	refused := &callerCheck{refusal: &Refusal{Code: "caller_unknown"}}
	first, again, other := open("100.64.0.1", proved("100.64.0.1")), open("100.64.0.1", proved("100.64.0.1")),
		open("100.64.0.2", proved("100.64.0.2"))
	early, nobody := open("100.64.0.1", nil), open("100.64.0.9", refused)
	all := []*trackedConn{first, again, other, early, nobody}
	expect := func(what string, calls int, want []RevokedEvent, left ...*trackedConn) {
		t.Helper()
		engine.asked, revoked = nil, nil
		node.revoke(t.Context())
		if len(engine.asked) != calls {
			t.Errorf("%s: WhoIs was asked for %v", what, engine.asked)
		}
		if !slices.EqualFunc(revoked, want, func(a, b RevokedEvent) bool {
			return slices.Equal(a.Callers, b.Callers) && a.Connections == b.Connections
		}) {
			t.Errorf("%s: told %v, not %v", what, revoked, want)
		}
		for index, tracked := range all {
			if tracked.closed == slices.Contains(left, tracked) {
				t.Errorf("%s: connection %d is closed: %v", what, index, tracked.closed)
			}
		}
	}
	expect("nothing changed", 3, nil, all...)
	// A call that ends meanwhile says nothing of a caller.
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	node.revoke(ended)
	expect("after a check that ended", 3, nil, all...)
	// Who was refused and is not any more has no connection to lose that anybody has to be told of.
	engine.device("100.64.0.9", "n9")
	expect("a stranger is one of us", 3, nil, first, again, other, early)
	engine.device("100.64.0.1", "n3")
	expect("another device at an address", 2, []RevokedEvent{{Callers: []string{"n1"}, Connections: 2}}, other, early)
	engine.broken = true
	expect("nobody can be identified", 0, []RevokedEvent{{Callers: []string{"n2"}, Connections: 1}}, early)
}
