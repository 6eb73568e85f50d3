// Tests of the node's lifecycle through the channel: up, status, whois, grants, peers, ping, close, restart.

package core

import (
	"os"
	"testing"
	"time"

	"cairn.internal/native/tailnettest"
)

func TestNodeLifecycle(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})

	got := get(t, client, "http://cairn/hello?a=1;b=%zz", "X-Own", "kept")
	if got.Status != 200 || got.Path != "/hello?a=1;b=%zz" || got.Host != "cairn" || got.Headers["X-Own"][0] != "kept" {
		t.Fatalf("the target saw %+v", got)
	}
	caller := got.caller(t)
	if caller.ID != client.ID || caller.Kind != "user" || !caller.Own || caller.Login != tailnettest.DefaultUser ||
		caller.Grants != "" {
		t.Errorf("caller %+v", caller)
	}
	var whois WhoIsResult
	r.must("whois", WhoIsParams{Addr: client.IPs[0].String() + ":1234"}, &whois)
	if whois.Caller.ID != client.ID {
		t.Errorf("whois %+v", whois)
	}
	if fault := r.call("whois", WhoIsParams{Addr: "100.99.99.99"}, nil); fault == nil || fault.Code != CodeNotFound {
		t.Errorf("whois of an unknown address: %v", fault)
	}
	var peers PeersResult
	r.must("peers", empty{}, &peers)
	if len(peers.Peers) != 1 || peers.Peers[0].ID != client.ID || peers.Peers[0].Hostname != "laptop" ||
		peers.Peers[0].Shared {
		t.Errorf("peers %+v", peers)
	}
	var ping PingResult
	r.must("ping", PingParams{IP: client.IPs[0].String(), TimeoutMs: 5000}, &ping)
	if ping.LatencyMs <= 0 || (ping.Path != "direct" && ping.Path != "relay") {
		t.Errorf("ping %+v", ping)
	}
	if fault := r.call("ping", PingParams{IP: "127.0.0.1", TimeoutMs: 500}, nil); fault == nil ||
		fault.Code != CodeDialRefused {
		t.Errorf("ping of loopback: %v", fault)
	}
	if fault := r.call("up", r.params, nil); fault == nil || fault.Code != CodeAlreadyUp {
		t.Errorf("second up: %v", fault)
	}
	r.await("control connected", func() bool { return r.state.Control == "connected" })
	r.mu.Lock()
	status := r.state
	r.mu.Unlock()
	if status.HTTPS || status.Funnel || status.Self.DNSName != "cairn."+tailnettest.Domain || status.Self.UserID == "" {
		t.Errorf("status %+v %+v", status, status.Self)
	}
}

func TestCloseIsQuickAndRestartKeepsTheAddress(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	before := r.ip()
	for round := range 2 {
		started := time.Now()
		r.must("close", empty{}, nil)
		if took := time.Since(started); took > time.Second {
			t.Errorf("close took %v", took)
		}
		if _, err := os.Stat(r.params.SocketDir + "/egress.sock"); err == nil {
			t.Error("egress.sock is left behind")
		}
		if fault := r.call("status", empty{}, nil); fault == nil || fault.Code != CodeNotUp {
			t.Errorf("status after close: %v", fault)
		}
		r.mu.Lock()
		r.state = Status{}
		r.mu.Unlock()
		r.must("up", r.params, nil)
		r.awaitRunning()
		if r.ip() != before {
			t.Errorf("round %d: the address went from %s to %s", round, before, r.ip())
		}
	}
	info, err := os.Stat(r.params.StateDir + "/tailscaled.state")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("state file: %v %v", info, err)
	}
}
