// Tests of the snapshot of the network map: which names belong to whom, and when it is taken again.

package core

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"tailscale.com/client/local"
	"tailscale.com/ipn/ipnstate"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

func TestNoServiceTakesTheNameOfAPeer(t *testing.T) {
	peer, service, other := netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("100.100.0.1"), netip.MustParseAddr("100.64.0.2")
	status := &ipnstate.Status{
		Self: &ipnstate.PeerStatus{ID: "self", DNSName: "Cairn.tail1234.ts.net."},
		Peer: map[key.NodePublic]*ipnstate.PeerStatus{
			key.NewNode().Public(): {DNSName: "NAS.tail1234.ts.net.", TailscaleIPs: []netip.Addr{peer}},
			// Neither a peer of another tailnet nor one without a name has a short one here.
			key.NewNode().Public(): {DNSName: "shared.tail9999.ts.net.", TailscaleIPs: []netip.Addr{other}},
			key.NewNode().Public(): {TailscaleIPs: []netip.Addr{other}},
		},
		ExtraRecords: []tailcfg.DNSRecord{
			{Name: "NAS.tail1234.ts.net.", Value: service.String()},
			{Name: "db.tail1234.ts.net.", Type: "A", Value: service.String()},
			{Name: "text.tail1234.ts.net.", Type: "TXT", Value: service.String()},
			{Name: "alias.tail1234.ts.net.", Value: "db.tail1234.ts.net."},
		},
	}
	v := newView(status, identity{suffix: "tail1234.ts.net"})
	v.addName("nas", []netip.Addr{service})
	v.addName("nas.tail1234.ts.net", []netip.Addr{service})
	v.addName("web", []netip.Addr{service})
	v.addName("", []netip.Addr{service})
	v.addName("empty", nil)
	want := map[string]netip.Addr{
		"nas": peer, "nas.tail1234.ts.net": peer, "shared.tail9999.ts.net": other,
		"db.tail1234.ts.net": service, "web": service,
	}
	for name, addr := range want {
		if !slices.Equal(v.names[name], []netip.Addr{addr}) {
			t.Errorf("%q is %v, not %v", name, v.names[name], addr)
		}
	}
	if len(v.names) != len(want) {
		t.Errorf("the names are %v", v.names)
	}
	if !v.hosts["cairn"] || !v.hosts["cairn.tail1234.ts.net"] || len(v.hosts) != 2 {
		t.Errorf("this node is called %v", v.hosts)
	}
	for _, self := range []*ipnstate.PeerStatus{nil, {ID: "self"}} {
		if v := newView(&ipnstate.Status{Self: self}, identity{}); len(v.hosts) != 0 {
			t.Errorf("a node without a name is called %v", v.hosts)
		}
	}
}

func TestViewIsTakenAnewWhenItHasChangedOrIsOld(t *testing.T) {
	asked := 0
	node := &Node{lc: &local.Client{Dial: func(context.Context, string, string) (net.Conn, error) {
		asked++
		return nil, errors.New("no engine")
	}}}
	look := func(what string, age, maxAge time.Duration, isAsked bool) {
		t.Helper()
		before := asked
		if node.view.current != nil {
			node.view.current.takenAt = time.Now().Add(-age)
		}
		found, err := node.look(t.Context(), maxAge)
		if (asked > before) != isAsked || (err != nil) != isAsked || (found != nil) == isAsked {
			t.Errorf("%s: the engine was asked %d times, %v", what, asked-before, err)
		}
	}
	look("the first time", 0, 0, true)
	node.view.dirty = false
	node.view.current = &view{}
	look("of any age", time.Hour, 0, false)
	look("young", time.Second, time.Minute, false)
	look("old", time.Hour, time.Minute, true)
	node.view.dirty = false
	node.view.markDirty()
	look("changed", 0, 0, true)
	// A failure leaves it to be taken.
	look("after a failure", 0, 0, true)
}

func TestLookKeepsWhatTheEngineSays(t *testing.T) {
	engine, node := startFakeEngine(t)
	own, service := netip.MustParseAddr("100.64.0.9"), netip.MustParseAddr("100.100.0.5")
	engine.status.TailscaleIPs = []netip.Addr{own}
	engine.status.CertDomains = []string{"Cairn.example.com."}
	engine.status.CurrentTailnet = &ipnstate.TailnetStatus{MagicDNSSuffix: "tail1234.ts.net."}
	engine.services = map[tailcfg.ServiceName]tailcfg.ServiceDetails{"svc:db": {Addrs: []netip.Addr{service}}}
	v, err := node.look(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if !v.selfIPs[own] || !v.hosts[own.String()] || !v.hosts["cairn.example.com"] || !v.services[service] || v.services[own] {
		t.Errorf("own addresses %v, names %v, services %v", v.selfIPs, v.hosts, v.services)
	}
	for _, name := range []string{"db", "db.tail1234.ts.net"} {
		if !slices.Equal(v.names[name], []netip.Addr{service}) {
			t.Errorf("%s is %v", name, v.names[name])
		}
	}
	// It is kept until something changes.
	engine.broken = true
	if again, err := node.look(t.Context(), 0); again != v || err != nil {
		t.Errorf("taken again: %v", err)
	}
	node.view.markDirty()
	if _, err := node.look(t.Context(), 0); err == nil {
		t.Error("a change is not looked at")
	}
	// Without an answer about services there are none.
	engine.broken, engine.services = false, nil
	if v, err := node.look(t.Context(), 0); err != nil || len(v.services) != 0 {
		t.Errorf("without services: %v", err)
	}
}
