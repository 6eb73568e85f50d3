// Tests of the bounds of connections, requests and listeners: of one caller, and of all together.

package core

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"cairn.internal/native/tailnettest"
)

// fakeConn is a connection of which only the address matters.
type fakeConn struct {
	net.Conn
	remote net.Addr
}

func (f fakeConn) RemoteAddr() net.Addr { return f.remote }
func (f fakeConn) Close() error         { return nil }

func TestConnectionsAreBounded(t *testing.T) {
	all := newConnections()
	admit := func(host int) *trackedConn {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{100, 64, byte(host >> 8), byte(host)}), 1234)
		return all.admit(fakeConn{remote: net.TCPAddrFromAddrPort(addr)})
	}
	var first *trackedConn
	for range maxConnectionsPerCaller {
		if first = admit(1); first == nil {
			t.Fatal("refused below the caller's bound")
		}
	}
	if admit(1) != nil {
		t.Error("one more than the caller's bound was taken")
	}
	first.Close()
	first.Close()
	if admit(1) == nil || admit(1) != nil {
		t.Error("closing twice must free one place")
	}
	for host := 2; len(all.open) < maxConnections; host++ {
		if admit(host) == nil {
			t.Fatal("refused below the bound")
		}
	}
	if admit(9999) != nil {
		t.Error("one more than the bound was taken")
	}
	if closed := all.drop(nil); closed != maxConnections || len(all.open) != 0 || len(all.byAddress.held) != 0 {
		t.Errorf("%d closed, %d and %d left", closed, len(all.open), len(all.byAddress.held))
	}
}

func TestSharesLeaveRoomForTheNextCaller(t *testing.T) {
	shared := newShares(10, 6)
	for at, row := range []struct {
		caller string
		count  int64
		want   bool
	}{
		{"a", 7, false}, // more than one may hold
		{"a", 4, true},
		{"a", 1, true}, // as much as it holds is left
		{"a", 1, false},
		{"b", 6, false}, // more than there is
		{"b", 5, true},  // its first, all that is left
		{"c", 1, false},
		{"b", 1, false},
	} {
		if got := shared.take(row.caller, row.count); got != row.want {
			t.Errorf("step %d: %s takes %d: %v", at, row.caller, row.count, got)
		}
	}
	shared.give("b", 2)
	if !shared.take("c", 2) || shared.take("c", 1) {
		t.Error("what was given back can be taken once")
	}
	for caller, count := range map[string]int64{"a": 5, "b": 3, "c": 2} {
		shared.give(caller, count)
	}
	if len(shared.held) != 0 || shared.sum != 0 {
		t.Errorf("%v of %d are held", shared.held, shared.sum)
	}
}

func TestACallerHasSoManyConnectionsAndRequests(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	all := r.node().conns
	ask := func() string {
		t.Helper()
		return sendRaw(t, client, r.ip()+":80", "GET / HTTP/1.1\r\nHost: cairn\r\nConnection: close\r\n\r\n")
	}
	for name, held := range map[string]*shares{"connections": all.byCaller, "requests": all.requests} {
		if got := ask(); !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Fatalf("before: %.300q", got)
		}
		taken := int64(0)
		for held.take(client.ID, 1) {
			taken++
		}
		before := r.target.seen.Load()
		if got := ask(); !strings.HasPrefix(got, "HTTP/1.1 429") || !strings.Contains(got, "rate_limited") ||
			!strings.Contains(got, "Retry-After: 5") || r.target.seen.Load() != before {
			t.Errorf("%s: %d are held, and got %.300q", name, taken, got)
		}
		held.give(client.ID, taken)
	}
	if got := ask(); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("after: %.300q", got)
	}
}

func TestListenersAreBounded(t *testing.T) {
	full := &Node{ingress: &ingress{servers: make([]*http.Server, maxListeners)}}
	var fault *Fault
	if err := full.listen(ListenParams{Port: 80}); !errors.As(err, &fault) || fault.Code != CodeBadRequest {
		t.Errorf("one listener more: %v", err)
	}
	closing := &Node{ingress: &ingress{closed: true}}
	if err := closing.listen(ListenParams{Port: 80}); !errors.As(err, &fault) || fault.Code != CodeNotUp {
		t.Errorf("a listener of a node that closes: %v", err)
	}
}
