// Tests of what becomes of the engine's answers to a ping, of what it tells on its bus, and of its log.

package core

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"tailscale.com/ipn"
	"tailscale.com/ipn/ipnstate"
	"tailscale.com/tailcfg"
	nothing "tailscale.com/types/empty"
	"tailscale.com/types/key"
)

func TestAnswersToAPing(t *testing.T) {
	addr := netip.MustParseAddr("100.64.0.1")
	engine, node := startFakePeers(t,
		&ipnstate.PeerStatus{ID: "a", DNSName: "a.tail1234.ts.net.", TailscaleIPs: []netip.Addr{addr}})
	engine.device(addr.String(), "a")
	for _, row := range []struct {
		answer *ipnstate.PingResult
		want   string
	}{
		{&ipnstate.PingResult{LatencySeconds: 0.5, DERPRegionCode: "fra"}, "500 relay fra "},
		{&ipnstate.PingResult{LatencySeconds: 0.5, Endpoint: "192.0.2.1:1", DERPRegionCode: "fra"}, "500 direct  "},
		{&ipnstate.PingResult{Err: "no matching peer"}, "0   " + CodeNotFound},
	} {
		engine.ping = row.answer
		got, err := node.ping(t.Context(), addr, time.Minute)
		if text := fmt.Sprint(got.LatencyMs, " ", got.Path, " ", got.Relay, " ", codeOf(err)); text != row.want {
			t.Errorf("%+v is %q, not %q", row.answer, text, row.want)
		}
	}
	engine.ping = nil
	if _, err := node.ping(t.Context(), addr, 50*time.Millisecond); codeOf(err) != CodeTimeout {
		t.Errorf("without an answer: %v", err)
	}
	if _, err := node.ping(t.Context(), netip.MustParseAddr("100.64.0.9"), time.Minute); codeOf(err) != CodeDialRefused {
		t.Errorf("of a stranger: %v", err)
	}
}

func TestWhatTheBusTells(t *testing.T) {
	engine, node := startFakeEngine(t)
	running, waiting, url, problem := ipn.Running, ipn.NeedsLogin, "https://login", "invalid key"
	engine.notices = []ipn.Notify{
		{},
		{LoginFinished: &nothing.Message{}},
		{State: &running},
		{State: &waiting},
		{SelfChange: &tailcfg.Node{}},
		{PeersChanged: []*tailcfg.Node{{}}},
		{PeersRemoved: []tailcfg.NodeID{1}},
		{UserProfiles: map[tailcfg.UserID]tailcfg.UserProfileView{5: (&tailcfg.UserProfile{ID: 5}).View()}},
		{BrowseToURL: &url},
		{ErrMessage: &problem},
	}
	var got []busChange
	if err := watchBus(t.Context(), node.lc, func(change busChange) { got = append(got, change) }); err == nil {
		t.Error("the end of the bus is no error")
	}
	want := []busChange{
		{netmap: true}, // whatever changed before the watch began
		{}, {loggedIn: true}, {loggedIn: true, netmap: true}, {netmap: true}, {netmap: true}, {netmap: true}, {netmap: true},
		{netmap: true},
		{loginURL: url}, {errText: problem},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestServeConfigOfANode(t *testing.T) {
	engine, node := startFakeEngine(t)
	for name, row := range map[string]struct {
		self *ipnstate.PeerStatus
		want string
	}{
		"not joined": {nil, "the node has not joined a tailnet yet"},
		"joined":     {&ipnstate.PeerStatus{ID: "n1"}, "Funnel not available"},
	} {
		engine.status = ipnstate.Status{Self: row.self}
		got, err := node.serveConfig(t.Context())
		text, _ := json.Marshal(got.Config)
		if err != nil || got.Funnel || !strings.HasPrefix(got.FunnelReason, row.want) || !strings.Contains(string(text), `"443"`) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestWhatIsLoggedOfTheEngine(t *testing.T) {
	var lines []string
	node := &Node{secrets: &redactor{}, emit: func(event any) { lines = append(lines, event.(LogEvent).Message) }}
	node.backendLogf("[v1] %s", "one")
	node.backendLogf("[v2] %s", "two")
	node.backendLogf("wgengine: %s", "[v1] three")
	node.backendLogf("wgengine: %s", "[v2] four")
	node.backendLogf("wgengine: %s", "five")
	node.userLogf("To start this tsnet server, restart with TS_AUTHKEY set")
	node.userLogf("six %s", "tskey-auth-secret")
	if !slices.Equal(lines, []string{"wgengine: five", "six " + redacted}) {
		t.Errorf("the log has %q", lines)
	}
}

func TestOnlyUpgradesKeepWhatWasReadAhead(t *testing.T) {
	writer, request := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	if upgradable(writer, request) != http.ResponseWriter(writer) {
		t.Error("a plain request has another writer")
	}
	request.Header.Set("Upgrade", "websocket")
	if _, is := upgradable(writer, request).(*upgradableWriter); !is {
		t.Error("an upgrade loses what was read ahead")
	}
}

func TestWhatControlSaysOfAKey(t *testing.T) {
	type answer struct {
		status int
		text   string
	}
	const good = `{"MachineAuthorized":true}`
	for _, row := range []struct {
		name          string
		known, answer answer
		want          string // the reason and its message, "taken", or "no answer"
	}{
		{"it is taken", answer{200, "{}"}, answer{200, good}, "taken"},
		{"an unknown device", answer{404, "node not found"}, answer{200, good}, "removed node not found"},
		{"a device that may not come", answer{403, "suspended"}, answer{200, good}, "refused suspended"},
		{"no map", answer{500, "busy"}, answer{200, good}, "no answer"},
		{"a key that is refused", answer{200, "{}"}, answer{401, "bad key"}, "refused bad key"},
		{"no register", answer{200, "{}"}, answer{502, "busy"}, "no answer"},
		{"an error", answer{200, "{}"}, answer{200, `{"Error":"suspended"}`}, "refused suspended"},
		{"a key that ended", answer{200, "{}"}, answer{200, `{"NodeKeyExpired":true}`}, "expired "},
		{"a login", answer{200, "{}"}, answer{200, `{"AuthURL":"https://login"}`}, "removed "},
		{"no JSON", answer{200, "{}"}, answer{200, "<html>"}, "no answer"},
		{"no channel for the map", answer{0, ""}, answer{200, good}, "no answer"},
		{"no channel to register", answer{200, "{}"}, answer{0, ""}, "no answer"},
	} {
		asked := []string{}
		ask := func(path string, body any) (int, []byte, error) {
			asked = append(asked, path)
			found := row.answer
			if request, isMap := body.(tailcfg.MapRequest); isMap {
				found = row.known
				if !request.ReadOnly || !request.OmitPeers || request.Stream {
					t.Errorf("%s: the question about the map changes something: %+v", row.name, request)
				}
			}
			if found.status == 0 {
				return 0, nil, net.ErrClosed
			}
			return found.status, []byte(found.text), nil
		}
		denied, err := judgeKeyBy(ask, key.NewNode().Public(), nil)
		got := "taken"
		switch {
		case err != nil:
			got = "no answer"
		case denied != nil:
			got = denied.Reason + " " + denied.Message
		}
		if got != row.want {
			t.Errorf("%s: %q, not %q", row.name, got, row.want)
		}
		// Only a known device registers: control would take another one for a new device.
		if registers := slices.Contains(asked, "register"); registers != (row.known.status == 200) {
			t.Errorf("%s: asked %v", row.name, asked)
		}
	}
}

// The engine accepts routes by default, but a state folder may say otherwise.
func TestRoutesAreAskedFor(t *testing.T) {
	engine, node := startFakeEngine(t)
	if err := acceptRoutes(t.Context(), node.lc); err != nil || !engine.prefs.RouteAllSet || !engine.prefs.RouteAll {
		t.Errorf("asked for %+v: %v", engine.prefs, err)
	}
}
