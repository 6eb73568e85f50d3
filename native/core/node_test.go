// Tests of the node's lifecycle through the channel: up, status, whois, grants, peers, ping, close, restart.

package core

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
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
	r.must("listen", ListenParams{Port: 1}, nil)
	r.must("listen", ListenParams{Port: 65535}, nil)
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
		// Of two starts at once one is refused.
		starts := []chan json.RawMessage{r.send("up", r.params), r.send("up", r.params)}
		refused := 0
		for _, start := range starts {
			if reply := <-start; strings.Contains(string(reply), `"`+CodeAlreadyUp+`"`) {
				refused++
			}
		}
		if refused != 1 {
			t.Errorf("round %d: %d of two starts were refused", round, refused)
		}
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

// A node that is up too late for its caller, or for the channel, is closed, and another can be started.
func TestNodesThatNobodyAwaitsAreClosed(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	for name, row := range map[string]struct{ channel, call context.Context }{
		"the call ended":    {t.Context(), ended},
		"the channel ended": {ended, t.Context()},
	} {
		folder := shortDir(t)
		params := UpParams{
			StateDir: folder + "/state", SocketDir: folder + "/run", Hostname: "cairn", ControlURL: "http://127.0.0.1:1",
			Capability: testCapability, Target: "/nowhere", IngressSecret: randomSecret(), EgressSecret: randomSecret(),
			Shared: "none", MaxBodyBytes: 1, TestMode: true,
		}
		if err := checkUpParams(&params); err != nil {
			t.Fatal(err)
		}
		s := &session{ctx: row.channel, out: newOutbox(), nodeUp: make(chan struct{})}
		if err := s.up(row.call, params); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		eventually(t, name+", and the start is over", testTimeout, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return !s.starting
		})
		if _, err := os.Stat(params.SocketDir + "/egress.sock"); err == nil || s.node != nil {
			t.Errorf("%s: the node is open", name)
		}
	}
	busy := &Fault{}
	for name, s := range map[string]*session{"starting": {starting: true}, "up": {node: &Node{}}} {
		if err := s.up(t.Context(), UpParams{}); !errors.As(err, &busy) || busy.Code != CodeAlreadyUp {
			t.Errorf("a start while one is %s: %v", name, err)
		}
	}
}
