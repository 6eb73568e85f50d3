// Tests of changed grants. Real control then sends only a new packet filter, which the IPN bus does not announce;
// upstream's test control can send exactly that.

package core

import (
	"net"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
)

func TestFilterChangeRevokes(t *testing.T) {
	isolate(true) // the test control logs through tailscale's own logger
	control := &testcontrol.Server{
		Logf:             func(string, ...any) {},
		DERPMap:          &tailcfg.DERPMap{},
		MagicDNSDomain:   "tail1234.ts.net",
		AllNodesSameUser: true,
	}
	control.HTTPTestServer = httptest.NewUnstartedServer(control)
	control.HTTPTestServer.Start()
	t.Cleanup(control.HTTPTestServer.Close)
	dir := shortDir(t)
	r := openChannel(t, Options{})
	r.must(
		"up",
		UpParams{
			StateDir:       filepath.Join(dir, "state"),
			SocketDir:      filepath.Join(dir, "run"),
			Hostname:       "cairn",
			ControlURL:     control.HTTPTestServer.URL,
			Capability:     testCapability,
			Target:         "/nowhere",
			IngressSecret:  randomSecret(),
			EgressSecret:   randomSecret(),
			Shared:         "none",
			AllowedHosts:   []string{},
			AllowedOrigins: []string{},
			MaxBodyBytes:   1,
			TestMode:       true,
		},
		nil,
	)
	// Without a relay the engine never reports Running; the network map arrives all the same.
	r.await("a network map", func() bool { return r.state.Self != nil && len(r.state.Self.IPs) > 0 })
	self := control.AllNodes()[0]
	addr := netip.MustParseAddr("100.64.0.77")
	push := func(response *tailcfg.MapResponse) {
		t.Helper()
		if !control.AddRawMapResponse(self.Key, response) {
			t.Fatal("the node does not listen to control")
		}
	}
	push(&tailcfg.MapResponse{
		UserProfiles: []tailcfg.UserProfile{{ID: 77, LoginName: "ann@example.com"}},
		PeersChanged: []*tailcfg.Node{
			{
				ID:       77,
				StableID: "nPEER",
				Name:     "laptop.tail1234.ts.net.",
				User:     77,
				Key:      key.NewNode().Public(),
				Machine:  key.NewMachine().Public(),
				DiscoKey: key.NewDisco().Public(),
				Addresses: []netip.Prefix{
					netip.PrefixFrom(addr, 32),
				},
				AllowedIPs:        []netip.Prefix{netip.PrefixFrom(addr, 32)},
				MachineAuthorized: true,
			},
		},
	})
	filterWith := func(grant string) map[string][]tailcfg.FilterRule {
		return map[string][]tailcfg.FilterRule{
			"grants": {{SrcIPs: []string{addr.String()}, CapGrant: []tailcfg.CapGrant{{Dsts: self.Addresses,
				CapMap: tailcfg.PeerCapMap{testCapability: {tailcfg.RawMessage(grant)}}}}}},
		}
	}
	grantsOf := func() (hash string) {
		var whois WhoIsResult
		if r.call("whois", WhoIsParams{Addr: addr.String()}, &whois) == nil {
			hash = whois.Caller.Grants
		}
		return hash
	}
	push(&tailcfg.MapResponse{PacketFilters: filterWith(`{"role":"member"}`)})
	eventually(t, "the grant arrives", 5*time.Second, func() bool { return grantsOf() != "" })

	node := r.node()
	tracked := node.conns.admit(fakeConn{remote: net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 1234))})
	if check, err := node.checkConn(t.Context(), tracked); err != nil || check.refusal != nil {
		t.Fatal(check, err)
	}
	for round, grant := range []string{`{"role":"member"}`, `{"role":"reader"}`} {
		from, started := r.mark(), time.Now()
		push(&tailcfg.MapResponse{PacketFilters: filterWith(grant)})
		if round == 0 {
			push(&tailcfg.MapResponse{PeersChangedPatch: []*tailcfg.PeerChange{{NodeID: 77, DERPRegion: 1}}})
			r.awaitEvent("netmap", from)
			if len(node.conns.list()) != 1 {
				t.Fatal("the connection was closed although no right changed")
			}
			continue
		}
		event, _ := r.awaitEvent("revoked", from)
		if took := time.Since(started); took > revokeGoal || event["callers"].([]any)[0] != "nPEER" ||
			len(node.conns.list()) != 0 {
			t.Errorf("after %v: %v", took, event)
		} else {
			t.Logf("revoked after %v", took.Round(time.Millisecond))
		}
	}
}
