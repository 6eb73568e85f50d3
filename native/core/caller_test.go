// Tests of caller identification: the class table alone, and each class and refusal over real WireGuard.

package core

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cairn.internal/native/tailnettest"
	"tailscale.com/client/tailscale/apitype"
	"tailscale.com/ipn/ipnstate"
	"tailscale.com/tailcfg"
)

func TestClassTable(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	addr := netip.MustParseAddr("100.64.0.7")
	untagged := identity{id: "nSELF", user: 5, suffix: "tail1234.ts.net"}
	tagged := identity{id: "nSELF", user: 5, tagged: true, suffix: "tail1234.ts.net"}
	sharee := (&tailcfg.Hostinfo{ShareeNode: true}).View()
	for _, row := range []struct {
		name   string
		self   identity
		shared string
		change func(*apitype.WhoIsResponse)
		want   string // refusal code, or kind[+own]
	}{
		{"own device", untagged, "none", nil, "user+own"},
		{"own user, but this node is tagged", tagged, "none", nil, "user"},
		{"other user", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.Node.User = 6 }, "user"},
		{"tagged, of the same user", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.Node.Tags = []string{"tag:cairn"} }, "tagged"},
		{"user named like a tag", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.Node.User, whois.UserProfile.LoginName = 6, "tag:cairn" }, "user"},
		{"user named tagged-devices", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.Node.User, whois.UserProfile.LoginName = 6, "tagged-devices" }, "user"},
		{"user 0 on both sides", identity{id: "nSELF"}, "none", func(whois *apitype.WhoIsResponse) { whois.Node.User = 0 }, "user"},
		{"key valid for a second", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.Node.KeyExpiry = now.Add(time.Second) }, "user+own"},
		{"no answer", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.Node = nil }, "caller_unknown"},
		{"another address (subnet router)", untagged, "none", func(whois *apitype.WhoIsResponse) {
			whois.Node.Addresses = []netip.Prefix{netip.MustParsePrefix("100.64.0.8/32"), netip.MustParsePrefix("100.64.0.0/24")}
		}, "caller_unknown"},
		{"self", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.Node.StableID = "nSELF" }, "caller_self"},
		{"not ready", identity{}, "none", nil, "not_ready"},
		{"expired", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.Node.Expired = true }, "caller_expired"},
		{"expired by the clock", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.Node.KeyExpiry = now }, "caller_expired"},
		{"unsigned", untagged, "grants", func(whois *apitype.WhoIsResponse) { whois.Node.UnsignedPeerAPIOnly = true }, "caller_unsigned"},
		{"jailed", untagged, "grants", func(whois *apitype.WhoIsResponse) { whois.Node.IsJailed = true }, "caller_jailed"},
		{"WireGuard only", untagged, "grants", func(whois *apitype.WhoIsResponse) { whois.Node.IsWireGuardOnly = true }, "caller_wireguard_only"},
		{"shared in", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.Node.Sharer = 9 }, "caller_foreign"},
		{"shared in by its own user", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.Node.Sharer = 5 }, "caller_foreign"},
		{"shared to", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.Node.Hostinfo = sharee }, "caller_foreign"},
		{"other domain", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.Node.Name = "laptop.other.ts.net." }, "caller_foreign"},
		{"domain that only ends alike", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.Node.Name = "laptop.eviltail1234.ts.net." }, "caller_foreign"},
		{"shared in, by grants", untagged, "grants", func(whois *apitype.WhoIsResponse) { whois.Node.Sharer = 9; whois.Node.Tags = []string{"tag:cairn"} }, "shared"},
		{"identity over 4 KB", untagged, "none", func(whois *apitype.WhoIsResponse) { whois.UserProfile.LoginName = strings.Repeat("é", 700) }, "caller_too_large"},
	} {
		whois := &apitype.WhoIsResponse{UserProfile: &tailcfg.UserProfile{LoginName: "ann@example.com"},
			Node: &tailcfg.Node{
				StableID:  "nABC",
				Name:      "laptop.tail1234.ts.net.",
				User:      5,
				Addresses: []netip.Prefix{netip.MustParsePrefix("100.64.0.7/32")},
			}}
		if row.change != nil {
			row.change(whois)
		}
		check := classify(whois, addr, row.self, row.shared, now, func(*apitype.WhoIsResponse) string { return "" })
		got := check.caller.Kind
		if check.refusal != nil {
			got = check.refusal.Code
		} else if check.caller.Own {
			got += "+own"
		}
		if got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
		if check.refusal == nil && check.caller.Kind != "tagged" && len(check.caller.Tags) != 0 {
			t.Errorf("%s: tags %v passed on", row.name, check.caller.Tags)
		}
	}
}

func TestIdentityOfThisNode(t *testing.T) {
	for name, status := range map[string]*ipnstate.Status{"no status": nil, "no node": {}} {
		if got := identityOf(status); got != (identity{}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	self := &ipnstate.PeerStatus{ID: "n1", UserID: 5}
	tailnet := &ipnstate.TailnetStatus{MagicDNSSuffix: ".Tail1234.TS.net."}
	if got := identityOf(&ipnstate.Status{Self: self}); got != (identity{id: "n1", user: 5}) {
		t.Errorf("without a tailnet: %+v", got)
	}
	want := identity{id: "n1", user: 5, suffix: "tail1234.ts.net"}
	if got := identityOf(&ipnstate.Status{Self: self, CurrentTailnet: tailnet}); got != want {
		t.Errorf("in a tailnet: %+v", got)
	}
}

func TestRefusedCallersReachNothing(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	yes := true
	sharedIn, sharee, domain := tailnettest.ForeignSharedIn, tailnettest.ForeignSharee, tailnettest.ForeignDomain
	past := time.Now().Add(-time.Minute)
	for index, row := range []struct {
		name   string
		change tailnettest.Change
		code   string // "" if the packets themselves are dropped
	}{
		{"expired", tailnettest.Change{Expired: &yes}, ""},
		{"key expired", tailnettest.Change{KeyExpiry: &past}, ""},
		{"unsigned", tailnettest.Change{Unsigned: &yes}, ""},
		{"jailed", tailnettest.Change{Jailed: &yes}, ""},
		{"wireguard only", tailnettest.Change{WireGuardOnly: &yes}, "caller_wireguard_only"},
		{"shared in", tailnettest.Change{Foreign: &sharedIn}, "caller_foreign"},
		{"sharee", tailnettest.Change{Foreign: &sharee}, "caller_foreign"},
		{"other domain", tailnettest.Change{Foreign: &domain}, "caller_foreign"},
	} {
		t.Run(row.name, func(t *testing.T) {
			client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: fmt.Sprintf("caller-%d", index)})
			defer client.Close()
			url := "http://" + r.ip() + "/"
			if got := get(t, client, url); got.Status != 200 {
				t.Fatalf("before: %d %s", got.Status, got.Body)
			}
			client.HTTP.CloseIdleConnections()
			if err := tailnet.Update(client.Hostname, row.change); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the node refuses the caller", 5*time.Second, func() bool {
				fault := r.call("whois", WhoIsParams{Addr: client.IPs[0].String()}, nil)
				return fault != nil && fault.Code == CodeNotFound
			})
			seen := r.target.seen.Load()
			if row.code != "" {
				if got := get(t, client, url); got.Status != 403 || got.Code != row.code ||
					got.Header.Get("Content-Type") != "application/problem+json" {
					t.Errorf("got %d %s", got.Status, got.Body)
				}
			} else {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				request, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
				if response, err := client.HTTP.Do(request); err == nil {
					response.Body.Close()
					if response.StatusCode != http.StatusForbidden {
						t.Errorf("got %d", response.StatusCode)
					}
				}
			}
			if now := r.target.seen.Load(); now != seen {
				t.Errorf("%d requests reached the target", now-seen)
			}
		})
	}
	t.Run("behind a subnet router", func(t *testing.T) {
		source := netip.MustParseAddr("192.0.2.77")
		client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "routed", Source: source})
		routes := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		if err := tailnet.Update("routed", tailnettest.Change{SubnetRoutes: &routes}); err != nil {
			t.Fatal(err)
		}
		seen := r.target.seen.Load()
		if got := get(t, client, "http://"+r.ip()+"/"); got.Status != 403 || got.Code != "caller_unknown" ||
			r.target.seen.Load() != seen {
			t.Errorf("got %d %s", got.Status, got.Body)
		}
	})
	t.Run("self", func(t *testing.T) {
		if fault := r.call("whois", WhoIsParams{Addr: r.ip()}, nil); fault == nil ||
			!strings.Contains(fault.Message, "caller_self") {
			t.Errorf("got %v", fault)
		}
	})
}

func TestKindsOnATaggedNode(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{
		expect: &tailnettest.Expect{Tags: []string{"tag:cairn"}},
		change: func(p *UpParams) { p.Shared = "grants" },
	})
	sharedIn := tailnettest.ForeignSharedIn
	for index, row := range []struct {
		options tailnettest.ClientOptions
		foreign *tailnettest.Foreign
		want    Caller
	}{
		{tailnettest.ClientOptions{}, nil, Caller{Kind: "user", Login: tailnettest.DefaultUser}},
		{tailnettest.ClientOptions{User: "tagged-devices"}, nil, Caller{Kind: "user", Login: "tagged-devices"}},
		{tailnettest.ClientOptions{Tags: []string{"tag:cairn"}}, nil, Caller{Kind: "tagged"}},
		{tailnettest.ClientOptions{User: "eve@elsewhere.example"}, &sharedIn, Caller{Kind: "shared"}},
	} {
		row.options.Hostname = fmt.Sprintf("kind-%d", index)
		client := startClient(t, tailnet, row.options)
		if row.foreign != nil {
			if err := tailnet.Update(client.Hostname, tailnettest.Change{Foreign: row.foreign}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the caller is foreign", 5*time.Second, func() bool {
				var whois WhoIsResult
				return r.call("whois", WhoIsParams{Addr: client.IPs[0].String()}, &whois) == nil && whois.Caller.Kind == "shared"
			})
		}
		got := get(t, client, "http://"+r.ip()+"/").caller(t)
		if got.Kind != row.want.Kind || got.Own || (row.want.Login != "" && got.Login != row.want.Login) ||
			(got.Kind == "tagged") != (len(got.Tags) == 1) ||
			(got.Kind == "tagged") != (got.UserID == "") {
			t.Errorf("want %+v, got %+v", row.want, got)
		}
	}
}

func TestManyGrants(t *testing.T) {
	tailnet := startTailnet(t)
	var objects []json.RawMessage
	for index := range 200 {
		text := fmt.Sprintf(`{"role":"member","spaces":["space-%03d","schön-%03d"],"tools":["context_*"]}`, index, index)
		objects = append(objects, json.RawMessage(text))
	}
	tailnet.Grants([]tailnettest.Grant{
		{
			Src: []string{"agent"},
			Dst: []string{"cairn"},
			App: map[string][]json.RawMessage{testCapability: objects, "other.example/cap/x": {json.RawMessage(`{}`)}},
		},
	})
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "agent", Tags: []string{"tag:agent"}})
	got := get(t, client, "http://cairn/")
	header := got.Headers[headerCaller]
	caller := got.caller(t)
	if len(header[0]) > 400 || len(caller.Grants) != 32 {
		t.Errorf("header of %d bytes: %s", len(header[0]), header[0])
	}
	var result GrantsResult
	r.must("grants", GrantsParams{Hash: caller.Grants}, &result)
	if len(result.Grants) != 200 || !strings.Contains(fmt.Sprintf("%s", result.Grants), "schön-199") {
		t.Errorf("%d grants", len(result.Grants))
	}
	if fault := r.call("grants", GrantsParams{Hash: strings.Repeat("0", 32)}, nil); fault == nil ||
		fault.Code != CodeNotFound {
		t.Errorf("unknown hash: %v", fault)
	}
}

func TestGrantStoreIsBoundedAndIgnoresOrder(t *testing.T) {
	store := newGrantStore()
	first := store.add([]tailcfg.RawMessage{`{"a":1}`, `{"b":2}`})
	if again := store.add([]tailcfg.RawMessage{`{"b":2}`, `{"a":1}`}); again != first || store.add(nil) != "" {
		t.Errorf("%s and %s", first, again)
	}
	if store.add([]tailcfg.RawMessage{`{"a":1}{"b":2}`}) == first {
		t.Error("two objects and their concatenation have one digest")
	}
	for index := range 2 * maxGrantLists {
		store.add([]tailcfg.RawMessage{tailcfg.RawMessage(fmt.Sprint(index))})
		store.lookUp(first)
	}
	if _, known := store.lookUp(first); !known || store.order.Len() != maxGrantLists {
		t.Errorf("%d lists, the used one known: %v", store.order.Len(), known)
	}
}

func TestCallerHeaderIsASCII(t *testing.T) {
	text, err := asciiJSON(Caller{V: 1, Login: "žofie🙂\x7f\"@example.com", Tags: []string{}})
	if err != nil || strings.ContainsFunc(text, func(char rune) bool { return char < 0x20 || char > 0x7e }) {
		t.Fatalf("%q %v", text, err)
	}
	var back Caller
	if err := json.Unmarshal([]byte(text), &back); err != nil || back.Login != "žofie🙂\x7f\"@example.com" {
		t.Errorf("%q %v", back.Login, err)
	}
}
