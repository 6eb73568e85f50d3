// Tests of what is said of this node and its peers, by what the engine says.

package core

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"tailscale.com/ipn/ipnstate"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/views"
)

func TestKeysThatHaveEnded(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	later, earlier, never := now.Add(time.Second), now.Add(-time.Second), time.Time{}
	for name, row := range map[string]struct {
		self ipnstate.PeerStatus
		want bool
	}{
		"no end":             {ipnstate.PeerStatus{}, false},
		"a zero end":         {ipnstate.PeerStatus{KeyExpiry: &never}, false},
		"ends later":         {ipnstate.PeerStatus{KeyExpiry: &later}, false},
		"ends now":           {ipnstate.PeerStatus{KeyExpiry: &now}, true},
		"has ended":          {ipnstate.PeerStatus{KeyExpiry: &earlier}, true},
		"control says so":    {ipnstate.PeerStatus{Expired: true}, true},
		"control, ends late": {ipnstate.PeerStatus{Expired: true, KeyExpiry: &later}, true},
	} {
		self := selfOf(&row.self, nil, now)
		if self.KeyExpired != row.want || (self.KeyExpiry != nil) != (row.self.KeyExpiry != nil && !row.self.KeyExpiry.IsZero()) {
			t.Errorf("%s: %+v", name, self)
		}
	}
}

// startFakePeers returns a node with these peers.
func startFakePeers(t *testing.T, peers ...*ipnstate.PeerStatus) (*fakeEngine, *Node) {
	t.Helper()
	engine, node := startFakeEngine(t)
	engine.status.CurrentTailnet = &ipnstate.TailnetStatus{MagicDNSSuffix: "tail1234.ts.net"}
	engine.status.Peer = map[key.NodePublic]*ipnstate.PeerStatus{}
	for _, peer := range peers {
		engine.status.Peer[key.NewNode().Public()] = peer
	}
	return engine, node
}

func TestPathsAndSharesOfPeers(t *testing.T) {
	_, node := startFakePeers(t,
		&ipnstate.PeerStatus{ID: "a", DNSName: "a.tail1234.ts.net.", CurAddr: "192.0.2.1:41641", Relay: "fra", Active: true},
		&ipnstate.PeerStatus{ID: "b", DNSName: "b.tail1234.ts.net.", Relay: "fra", Active: true},
		&ipnstate.PeerStatus{ID: "c", DNSName: "c.tail1234.ts.net.", Relay: "fra"},
		&ipnstate.PeerStatus{ID: "d", DNSName: "d.tail1234.ts.net.", Active: true},
		&ipnstate.PeerStatus{ID: "e", DNSName: "e.tail1234.ts.net.", PeerRelay: "192.0.2.1:1:vni:1"},
		&ipnstate.PeerStatus{ID: "f", DNSName: "f.tail1234.ts.net.", ShareeNode: true},
		&ipnstate.PeerStatus{ID: "g", DNSName: "g.tail1234.ts.net.", AltSharerUserID: 9},
		&ipnstate.PeerStatus{ID: "h", DNSName: "h.tail9999.ts.net."},
	)
	found, err := node.peers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, peer := range found.Peers {
		text := peer.ID + " " + peer.Path
		if peer.Shared {
			text += " shared"
		}
		got = append(got, text)
	}
	want := []string{"a direct", "b relay", "c none", "d none", "e relay", "f none shared", "g none shared", "h none shared"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestATaggedNodeHasNoUser(t *testing.T) {
	users := map[tailcfg.UserID]tailcfg.UserProfile{5: {LoginName: "ann@example.com"}}
	tags := views.SliceOf([]string{"tag:agent"})
	if login, user := loginOf(&ipnstate.PeerStatus{UserID: 5}, users); login != "ann@example.com" || user != "5" {
		t.Errorf("a user's node belongs to %q %q", login, user)
	}
	if login, user := loginOf(&ipnstate.PeerStatus{UserID: 5, Tags: &tags}, users); login != "" || user != "" {
		t.Errorf("a tagged node belongs to %q %q", login, user)
	}
}

func TestAddressOfAPeer(t *testing.T) {
	four, six := netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("fd7a:115c:a1e0::1")
	engine, node := startFakePeers(t,
		&ipnstate.PeerStatus{ID: "both", TailscaleIPs: []netip.Addr{six, four}},
		&ipnstate.PeerStatus{ID: "six", TailscaleIPs: []netip.Addr{six}},
		&ipnstate.PeerStatus{ID: "none"},
	)
	for id, want := range map[string]netip.Addr{"both": four, "six": six} {
		if got, err := node.addressOf(t.Context(), id); got != want || err != nil {
			t.Errorf("%s is at %v: %v", id, got, err)
		}
	}
	for _, id := range []string{"none", "other"} {
		fault := (*Fault)(nil)
		if got, err := node.addressOf(t.Context(), id); !errors.As(err, &fault) || fault.Code != CodeNotFound {
			t.Errorf("%s is at %v: %v", id, got, err)
		}
		if _, err := node.callerOf(t.Context(), id); !errors.As(err, &fault) || fault.Code != CodeNotFound {
			t.Errorf("the caller %s: %v", id, err)
		}
	}
	engine.device(four.String(), "both")
	if got, err := node.callerOf(t.Context(), "both"); err != nil || got.Caller.ID != "both" {
		t.Errorf("the caller is %v: %v", got, err)
	}
	fault := (*Fault)(nil)
	if got, err := node.whoIs(t.Context(), six); !errors.As(err, &fault) || fault.Code != CodeNotFound {
		t.Errorf("nobody is %v: %v", got, err)
	}
	engine.broken = true
	node.view.markDirty()
	if _, err := node.addressOf(t.Context(), "both"); err == nil || errors.As(err, &fault) {
		t.Errorf("without an engine: %v", err)
	}
	if _, err := node.whoIs(t.Context(), four); err == nil || errors.As(err, &fault) {
		t.Errorf("without an engine: %v", err)
	}
}

func TestStatusBeforeAndAfterTheFirstMap(t *testing.T) {
	engine, node := startFakeEngine(t)
	for name, self := range map[string]*ipnstate.PeerStatus{"no self": nil, "no id": {HostName: "cairn"}} {
		engine.status = ipnstate.Status{BackendState: "NeedsLogin", Self: self}
		if got, err := node.status(t.Context()); err != nil || got.Self != nil || got.HTTPS || got.Funnel {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	https := tailcfg.NodeCapMap{tailcfg.CapabilityHTTPS: nil}
	for _, row := range []struct {
		caps    tailcfg.NodeCapMap
		domains []string
		want    bool
	}{{nil, []string{"a.ts.net"}, false}, {https, nil, false}, {https, []string{"a.ts.net"}, true}} {
		engine.status = ipnstate.Status{Self: &ipnstate.PeerStatus{ID: "n1", CapMap: row.caps}, CertDomains: row.domains}
		if got, err := node.status(t.Context()); err != nil || got.Self == nil || got.HTTPS != row.want || got.Domains == nil || got.Health == nil {
			t.Errorf("%v %v: %+v, %v", row.caps, row.domains, got, err)
		}
	}
	for _, isAllowed := range []bool{false, true} {
		caps := tailcfg.NodeCapMap{tailcfg.CapabilityHTTPS: nil}
		if isAllowed {
			caps[tailcfg.NodeAttrFunnel], caps[tailcfg.CapabilityFunnelPorts+"?ports=443"] = nil, nil
		}
		engine.status = ipnstate.Status{Self: &ipnstate.PeerStatus{ID: "n1", CapMap: caps}}
		if got, err := node.status(t.Context()); err != nil || got.Funnel != isAllowed {
			t.Errorf("Funnel is %v: %v", got.Funnel, err)
		}
	}
	if timeText(nil) != nil || timeText(&time.Time{}) != nil {
		t.Error("no time has a text")
	}
	if moment := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)); *timeText(&moment) != "2026-01-02T02:04:05Z" {
		t.Errorf("got %s", *timeText(&moment))
	}
}

func TestALoginRenewsOnlyAKeyThatIsTaken(t *testing.T) {
	engine, node := startFakeEngine(t)
	earlier := time.Now().Add(-time.Hour)
	for _, row := range []struct {
		name   string
		status ipnstate.Status
		denied *Denied
		want   bool
	}{
		{"it is taken", ipnstate.Status{BackendState: "Running", Self: &ipnstate.PeerStatus{ID: "n1"}}, nil, true},
		{"a login waits", ipnstate.Status{BackendState: "NeedsLogin", Self: &ipnstate.PeerStatus{ID: "n1"}}, nil, false},
		{"denied", ipnstate.Status{BackendState: "Running", Self: &ipnstate.PeerStatus{ID: "n1"}}, &Denied{Reason: deniedRefused}, false},
		{"no map yet", ipnstate.Status{BackendState: "Running"}, nil, false},
		{"it ended", ipnstate.Status{BackendState: "Running", Self: &ipnstate.PeerStatus{ID: "n1", KeyExpiry: &earlier}}, nil, false},
	} {
		engine.status, node.watch.denied = row.status, row.denied
		if got := node.renews(t.Context()); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
		if got := node.waitsForLogin(t.Context()); got != (row.status.BackendState == "NeedsLogin") {
			t.Errorf("%s: waits for a login: %v", row.name, got)
		}
	}
	engine.broken = true
	if node.renews(t.Context()) || node.waitsForLogin(t.Context()) {
		t.Error("without an engine")
	}
}
