// An engine in place of tailscale's, for tests of rules that need answers about callers and no network.

package core

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"

	"tailscale.com/client/local"
	"tailscale.com/client/tailscale/apitype"
	"tailscale.com/ipn"
	"tailscale.com/ipn/ipnstate"
	"tailscale.com/tailcfg"
)

// fakeEngine answers what the local API is asked. Without a device at an address, that address belongs to no device.
type fakeEngine struct {
	mu       sync.Mutex
	devices  map[string]*tailcfg.Node // by address
	status   ipnstate.Status
	services map[tailcfg.ServiceName]tailcfg.ServiceDetails // nil: an error
	broken   bool                                           // every answer is an error
	asked    []string                                       // the addresses that WhoIs was asked for
	ping     *ipnstate.PingResult                           // nil: no answer
	prefs    ipn.MaskedPrefs                                // the last ones that were asked for
	notices  []ipn.Notify                                   // of the bus, which ends after them
}

// startFakeEngine returns an engine and a node of the user 5 that asks it.
func startFakeEngine(t *testing.T) (*fakeEngine, *Node) {
	t.Helper()
	engine := &fakeEngine{
		devices: map[string]*tailcfg.Node{},
		status:  ipnstate.Status{Self: &ipnstate.PeerStatus{ID: "nSELF", UserID: 5}},
	}
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}
	node := &Node{
		lc: &local.Client{Dial: dial, OmitAuth: true}, ctx: t.Context(), emit: func(any) {}, secrets: &redactor{},
		grants: newGrantStore(), conns: newConnections(), egress: &egress{}, params: UpParams{Shared: "none"},
	}
	node.identity.Store(&identity{id: "nSELF", user: 5, suffix: "tail1234.ts.net"})
	return engine, node
}

// device puts a device of the user 5 at an address, instead of what was there.
func (e *fakeEngine) device(address string, id tailcfg.StableNodeID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	addr := netip.MustParseAddr(address)
	e.devices[address] = &tailcfg.Node{
		StableID: id, Name: string(id) + ".tail1234.ts.net.", User: 5,
		Addresses: []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}, Hostinfo: (&tailcfg.Hostinfo{}).View(),
	}
}

// ServeHTTP answers whois, status, services, ping, the bus, what is served and preferences.
func (e *fakeEngine) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	if request.URL.Path == "/localapi/v0/ping" && e.ping == nil {
		<-request.Context().Done()
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.broken:
		http.Error(writer, "broken", http.StatusInternalServerError)
	case request.URL.Path == "/localapi/v0/whois":
		address := request.FormValue("addr")
		e.asked = append(e.asked, address)
		if found := e.devices[address]; found != nil {
			_ = json.NewEncoder(writer).Encode(apitype.WhoIsResponse{
				Node: found, UserProfile: &tailcfg.UserProfile{ID: 5, LoginName: "ann@example.com"}})
			return
		}
		http.Error(writer, "no match for IP:port", http.StatusNotFound)
	case request.URL.Path == "/localapi/v0/status":
		_ = json.NewEncoder(writer).Encode(e.status)
	case request.URL.Path == "/localapi/v0/services" && e.services != nil:
		_ = json.NewEncoder(writer).Encode(e.services)
	case request.URL.Path == "/localapi/v0/serve-config":
		_, _ = writer.Write([]byte(`{"TCP":{"443":{"HTTPS":true}}}`))
	case request.URL.Path == "/localapi/v0/prefs":
		_ = json.NewDecoder(request.Body).Decode(&e.prefs)
		_ = json.NewEncoder(writer).Encode(e.prefs.Prefs)
	case request.URL.Path == "/localapi/v0/ping":
		_ = json.NewEncoder(writer).Encode(e.ping)
	case request.URL.Path == "/localapi/v0/watch-ipn-bus":
		for _, notice := range e.notices {
			_ = json.NewEncoder(writer).Encode(notice)
		}
	default:
		http.NotFound(writer, request)
	}
}
