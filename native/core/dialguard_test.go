// Tests of which addresses are never dialed, whatever the network map says that they are.

package core

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tailscale.com/client/local"
	"tailscale.com/client/tailscale/apitype"
	"tailscale.com/ipn/ipnstate"
	"tailscale.com/tailcfg"
)

func TestLocalAddressesAreNoServices(t *testing.T) {
	local := []string{"127.0.0.1", "::1", "0.0.0.0", "::", "169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1"}
	v := &view{selfIPs: map[netip.Addr]bool{}, services: map[netip.Addr]bool{}}
	for _, text := range append(local, "10.1.2.3") {
		v.services[netip.MustParseAddr(text)] = true
	}
	for _, text := range local {
		if reason := v.refuseAddr(netip.MustParseAddr(text)); reason != "it is local to this host" {
			t.Errorf("%s as a service: %q", text, reason)
		}
	}
	for text, refused := range map[string]bool{"10.1.2.3": false, "10.1.2.4": true, "100.64.0.1": false, "fd7a:115c:a1e0::1": false} {
		if reason := v.refuseAddr(netip.MustParseAddr(text)); (reason != "") != refused {
			t.Errorf("%s: %q", text, reason)
		}
	}
}

// engineOf answers what the engine says of addresses, without one.
type engineOf func(address string) (status int, whois *apitype.WhoIsResponse)

// RoundTrip answers one question.
func (f engineOf) RoundTrip(request *http.Request) (*http.Response, error) {
	status, whois := f(request.URL.Query().Get("addr"))
	text, _ := json.Marshal(whois)
	return &http.Response{
		Request: request, StatusCode: status, Status: http.StatusText(status), Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(string(text))),
	}, nil
}

// guarding is a node with this map, which asks `engine` for the owners of addresses.
func guarding(seen *view, engine engineOf) *Node {
	seen.takenAt = time.Now()
	node := &Node{lc: &local.Client{Transport: engine, OmitAuth: true}}
	node.view.current = seen
	return node
}

func mapOf(selfID tailcfg.StableNodeID) *view {
	addr := netip.MustParseAddr
	return &view{
		status:  &ipnstate.Status{Self: &ipnstate.PeerStatus{ID: selfID}},
		hosts:   map[string]bool{"cairn": true},
		selfIPs: map[netip.Addr]bool{addr("100.64.0.1"): true},
		names: map[string][]netip.Addr{
			"both": {addr("fd7a:115c:a1e0::2"), addr("100.64.0.2")}, "six": {addr("fd7a:115c:a1e0::3")}, "none": {},
			"outside": {addr("10.0.0.1")}, "gone": {addr("100.64.0.9")}, "db": {addr("10.1.2.3")},
		},
		services: map[netip.Addr]bool{addr("10.1.2.3"): true},
	}
}

func TestTargetsThatTheGuardRefusesUnasked(t *testing.T) {
	node := guarding(mapOf("n1"), func(address string) (int, *apitype.WhoIsResponse) {
		t.Errorf("the engine was asked for %s", address)
		return http.StatusOK, nil
	})
	for target, why := range map[string]string{
		"both": "it is not host:port", "100.64.0.2": "it is not host:port", "": "it is not host:port",
		"both:0": "the port is not 1 to 65535", "both:65536": "the port is not 1 to 65535", "both:http": "the port is not",
		"[fe80::1%eth0]:80": "addresses with a zone are local to this host",
		"CAIRN.:80":         "it is this node itself", "100.64.0.1:80": "it is this node itself",
		"[::ffff:100.64.0.1]:80": "it is this node itself", "[::ffff:127.0.0.1]:80": "it is local to this host",
		"100.100.100.100:53": "the tailnet's own resolver", "[fd7a:115c:a1e0::53]:53": "the tailnet's own resolver",
		"[fd7a:115c:a1e0:b1a::1]:80": "a 4via6 address", "outside:80": "it is not a tailnet address",
		"8.8.8.8:53": "it is not a tailnet address", "unknown:80": "no peer or service of this tailnet has that name",
		"none:80": "no peer or service of this tailnet has that name",
	} {
		_, err := node.resolve(t.Context(), target)
		if refused := (*dialRefused)(nil); !errors.As(err, &refused) || !strings.Contains(refused.why, why) {
			t.Errorf("%q: %v", target, err)
		}
	}
}

func TestTheGuardDialsWhatAPeerOwns(t *testing.T) {
	owned := func(addresses ...string) *tailcfg.Node {
		node := &tailcfg.Node{}
		for _, text := range addresses {
			node.Addresses = append(node.Addresses, netip.MustParsePrefix(text))
		}
		return node
	}
	plain, expired := owned("100.64.0.4/32"), owned("100.64.0.5/32")
	plain.IsWireGuardOnly, expired.Expired = true, true
	nodes := map[string]*tailcfg.Node{
		"100.64.0.2": owned("100.64.0.2/32", "fd7a:115c:a1e0::2/128"), "fd7a:115c:a1e0::3": owned("fd7a:115c:a1e0::3/128"),
		"100.64.0.4": plain, "100.64.0.5": expired,
		// It routes the address and does not own it; of another, the engine knows nothing.
		"100.64.0.6": owned("100.64.0.0/10"), "100.64.0.7": owned("100.64.0.2/32"), "100.64.0.8": nil,
	}
	node := guarding(mapOf("n1"), func(address string) (int, *apitype.WhoIsResponse) {
		found, known := nodes[address]
		switch {
		case known:
			return http.StatusOK, &apitype.WhoIsResponse{Node: found}
		case address == "100.64.0.10":
			return http.StatusInternalServerError, nil
		}
		return http.StatusNotFound, nil
	})
	for target, want := range map[string]string{
		"both:80": "100.64.0.2:80", "six:65535": "[fd7a:115c:a1e0::3]:65535", "100.64.0.2:1": "100.64.0.2:1",
		"[::ffff:100.64.0.2]:80": "100.64.0.2:80", "db:5432": "10.1.2.3:5432", "10.1.2.3:5432": "10.1.2.3:5432",
	} {
		if got, err := node.resolve(t.Context(), target); err != nil || got.String() != want {
			t.Errorf("%s is %s: %v", target, got, err)
		}
	}
	const nobody = "no peer of this tailnet has that address"
	for target, why := range map[string]string{
		"100.64.0.4:80": "it is a plain WireGuard peer", "100.64.0.5:80": "the peer's node key has expired",
		"100.64.0.6:80": nobody, "100.64.0.7:80": nobody, "100.64.0.8:80": nobody, "gone:80": nobody,
	} {
		_, err := node.resolve(t.Context(), target)
		if refused := (*dialRefused)(nil); !errors.As(err, &refused) || refused.why != why {
			t.Errorf("%s: %v", target, err)
		}
	}
	// What cannot be looked up now is no refusal, and is not dialed.
	var refused *dialRefused
	if got, err := node.resolve(t.Context(), "100.64.0.10:80"); err == nil || errors.As(err, &refused) {
		t.Errorf("an engine that fails: %s %v", got, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	node.view.dirty = true
	if got, err := node.resolve(ended, "both:80"); err == nil || errors.As(err, &refused) {
		t.Errorf("no map: %s %v", got, err)
	}
}

func TestWithoutAMapNothingIsRefusedForGood(t *testing.T) {
	node := guarding(mapOf(""), func(address string) (int, *apitype.WhoIsResponse) {
		t.Errorf("the engine was asked for %s", address)
		return http.StatusOK, nil
	})
	for _, target := range []string{"unknown:80", "100.64.0.9:80"} {
		if _, err := node.resolve(t.Context(), target); err != errNoMap {
			t.Errorf("%s: %v", target, err)
		}
	}
}
