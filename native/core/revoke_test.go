// Tests of revocation over real WireGuard: a stream, an upgraded and an idle connection of one caller are closed within
// two seconds of each kind of change, and another caller's stream continues.

package core

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"cairn.internal/native/tailnettest"
)

const revokeGoal = 2 * time.Second

// heldConns holds what the target keeps open for callers: streams and upgraded connections, by path.
type heldConns struct {
	mu    sync.Mutex
	ended map[string]chan struct{}
}

func (h *heldConns) channel(path string) chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended[path] == nil {
		h.ended[path] = make(chan struct{})
	}
	return h.ended[path]
}

func holdOpen(r *rig) *heldConns {
	open := &heldConns{ended: map[string]chan struct{}{}}
	r.target.handle(func(writer http.ResponseWriter, request *http.Request) {
		switch {
		case request.Header.Get("Upgrade") != "":
			echoUpgrade(writer, request)
			close(open.channel(request.URL.Path))
		case request.Header.Get("X-Stream") != "":
			writer.WriteHeader(200)
			writer.(http.Flusher).Flush()
			<-request.Context().Done()
			close(open.channel(request.URL.Path))
		default:
			_ = json.NewEncoder(writer).Encode(map[string]any{"headers": request.Header})
		}
	})
	return open
}

func openStream(t *testing.T, r *rig, client *tailnettest.Client, path string) {
	t.Helper()
	conn := dialRaw(t, client, r.ip()+":80")
	t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: cairn\r\nX-Stream: 1\r\n\r\n")
	if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || response.StatusCode != 200 {
		t.Fatal(response, err)
	}
}

// openKeepAlive makes one request and leaves the connection idle.
func openKeepAlive(t *testing.T, r *rig, client *tailnettest.Client) net.Conn {
	t.Helper()
	conn := dialRaw(t, client, r.ip()+":80")
	t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: cairn\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != 200 {
		t.Fatal(response, err)
	}
	io.Copy(io.Discard, response.Body)
	return conn
}

func grantTo(name, role string) []tailnettest.Grant {
	return []tailnettest.Grant{
		{
			Src: []string{name},
			Dst: []string{"cairn"},
			App: map[string][]json.RawMessage{testCapability: {json.RawMessage(`{"role":"` + role + `","spaces":["*"]}`)}},
		},
	}
}

func TestRevocation(t *testing.T) {
	yes := true
	tags := []string{"tag:agent"}
	user := "eve@example.com"
	foreign := tailnettest.ForeignSharee
	update := func(change tailnettest.Change) func(*testing.T, *tailnettest.Tailnet) {
		return func(t *testing.T, tailnet *tailnettest.Tailnet) {
			if err := tailnet.Update("caller", change); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, row := range []struct {
		name   string
		before []tailnettest.Grant
		change func(*testing.T, *tailnettest.Tailnet)
		goal   time.Duration
	}{
		{"grant taken", grantTo("caller", "member"), func(_ *testing.T, tailnet *tailnettest.Tailnet) { tailnet.Grants(nil) }, 0},
		{"grant changed", grantTo("caller", "member"), func(_ *testing.T, tailnet *tailnettest.Tailnet) { tailnet.Grants(grantTo("caller", "reader")) }, 0},
		{"grant given", nil, func(_ *testing.T, tailnet *tailnettest.Tailnet) { tailnet.Grants(grantTo("caller", "admin")) }, 0},
		{"tags changed", nil, update(tailnettest.Change{Tags: &tags}), 0},
		{"user changed", nil, update(tailnettest.Change{User: &user}), 0},
		{"expired by control", nil, update(tailnettest.Change{Expired: &yes}), 0},
		{"jailed", nil, update(tailnettest.Change{Jailed: &yes}), 0},
		{"unsigned", nil, update(tailnettest.Change{Unsigned: &yes}), 0},
		{"foreign", nil, update(tailnettest.Change{Foreign: &foreign}), 0},
		{"removed", nil, func(t *testing.T, tailnet *tailnettest.Tailnet) {
			if err := tailnet.Remove("caller"); err != nil {
				t.Fatal(err)
			}
		}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			tailnet := startTailnet(t)
			tailnet.Grants(row.before)
			r := startRig(t, tailnet, rigOptions{})
			open := holdOpen(r)
			caller := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "caller"})
			other := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "other"})
			openStream(t, r, caller, "/stream")
			openStream(t, r, other, "/other")
			openKeepAlive(t, r, caller)
			conn := dialRaw(t, caller, r.ip()+":80")
			defer conn.Close()
			reader := upgrade(t, conn)
			io.WriteString(conn, "ping\n")
			if line, err := reader.ReadString('\n'); err != nil || line != "ping\n" {
				t.Fatal(line, err)
			}
			from, started := r.mark(), time.Now()
			row.change(t, tailnet)
			for _, path := range []string{"/stream", "/ws"} {
				select {
				case <-open.channel(path):
				case <-time.After(revokeGoal):
					t.Fatalf("%s is open %v after the change", path, revokeGoal)
				}
			}
			t.Logf("ended after %v", time.Since(started).Round(time.Millisecond))
			event, _ := r.awaitEvent("revoked", from)
			if callers := event["callers"].([]any); len(callers) != 1 || callers[0] != caller.ID ||
				event["connections"].(float64) < 3 {
				t.Errorf("got %v", event)
			}
			select {
			case <-open.channel("/other"):
				t.Error("another caller's stream ended, too")
			case <-time.After(300 * time.Millisecond):
			}
			var left DropResult
			r.must("drop", DropParams{Callers: []string{caller.ID}}, &left)
			if left.Closed != 0 {
				t.Errorf("%d connections were left", left.Closed)
			}
		})
	}
}

func TestKeyExpiryClosesConnectionsWithoutControl(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	open := holdOpen(r)
	expiry := time.Now().Add(3 * time.Second).Truncate(time.Second)
	if err := tailnet.Expect(tailnettest.Expect{Hostname: "caller", KeyExpiry: expiry}); err != nil {
		t.Fatal(err)
	}
	caller := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "caller"})
	openStream(t, r, caller, "/stream")
	if err := tailnet.SetControl(false); err != nil {
		t.Fatal(err)
	}
	select {
	case <-open.channel("/stream"):
		if time.Now().Before(expiry) {
			t.Error("ended before the key expired")
		}
	case <-time.After(time.Until(expiry) + revokeGoal):
		t.Error("the stream outlived the key")
	}
}

func TestReusedAddressIsADifferentCaller(t *testing.T) {
	tailnet := startTailnet(t)
	tailnet.Grants(grantTo("caller", "admin"))
	r := startRig(t, tailnet, rigOptions{})
	open := holdOpen(r)
	caller := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "caller"})
	openStream(t, r, caller, "/stream")
	if first := get(t, caller, "http://cairn/").caller(t); first.Grants == "" {
		t.Fatalf("no grants: %+v", first)
	}
	if err := tailnet.Remove("caller"); err != nil {
		t.Fatal(err)
	}
	successor := startClient(t, tailnet,
		tailnettest.ClientOptions{Hostname: "successor", User: "eve@example.com", IP: caller.IPs[0]})
	<-open.channel("/stream")
	if got := get(t, successor, "http://cairn/").caller(t); got.ID != successor.ID || got.Grants != "" || got.Own ||
		got.Login != "eve@example.com" {
		t.Errorf("the successor counts as %+v", got)
	}
}

func TestNewNameAloneKeepsConnections(t *testing.T) {
	old := &callerCheck{caller: Caller{ID: "n1", Kind: "user", Node: "a.ts.net", Tags: []string{}}}
	renamed := &callerCheck{caller: Caller{ID: "n1", Kind: "user", Node: "b.ts.net", Tags: []string{}}}
	if !old.sameRights(renamed) || old.sameRights(&callerCheck{refusal: &Refusal{}}) ||
		(&callerCheck{refusal: &Refusal{}}).sameRights(old) {
		t.Error("wrong idea of a changed caller")
	}
	refused := &callerCheck{refusal: &Refusal{Code: "caller_jailed"}}
	if !refused.sameRights(&callerCheck{refusal: &Refusal{Code: "caller_expired"}}) {
		t.Error("a refused caller that is refused for another reason counts as changed")
	}
	for name, change := range map[string]func(*Caller){
		"id":     func(c *Caller) { c.ID = "n2" },
		"kind":   func(c *Caller) { c.Kind = "tagged" },
		"login":  func(c *Caller) { c.Login = "eve@example.com" },
		"user":   func(c *Caller) { c.UserID = "7" },
		"own":    func(c *Caller) { c.Own = true },
		"grants": func(c *Caller) { c.Grants = "ab" },
		"tags":   func(c *Caller) { c.Tags = []string{"tag:a"} },
	} {
		next := old.caller
		change(&next)
		if old.sameRights(&callerCheck{caller: next}) {
			t.Errorf("a connection goes on for a caller with another %s", name)
		}
	}
}

func TestOnlyExpiredKeysOfAdmittedCallersCount(t *testing.T) {
	now := time.Now()
	for name, row := range map[string]struct {
		check *callerCheck
		want  bool
	}{
		"none yet":               {nil, false},
		"refused":                {&callerCheck{refusal: &Refusal{}, keyExpiry: now.Add(-time.Second)}, false},
		"a key without an end":   {&callerCheck{}, false},
		"a key that ends later":  {&callerCheck{keyExpiry: now.Add(time.Second)}, false},
		"a key that ends now":    {&callerCheck{keyExpiry: now}, true},
		"a key that ended today": {&callerCheck{keyExpiry: now.Add(-time.Hour)}, true},
	} {
		all := newConnections()
		address := netip.MustParseAddrPort("100.64.0.9:1")
		if row.check != nil {
			row.check.caller.ID = "n1"
		}
		tracked := all.admit(fakeConn{remote: net.TCPAddrFromAddrPort(address)})
		tracked.check.Store(row.check)
		if all.anyExpired(now) != row.want {
			t.Errorf("%s: %v", name, !row.want)
		}
		closes := row.check != nil && row.check.refusal == nil
		if closed := all.drop([]string{"n2", "n1"}); (closed == 1) != closes || len(all.open) != 1-closed {
			t.Errorf("%s: %d connections were closed for their caller", name, closed)
		}
	}
}
