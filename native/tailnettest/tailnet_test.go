// Tests of two client nodes on a tailnet: identities, capabilities, paths, and the faults that the control server
// simulates.

package tailnettest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"tailscale.com/client/tailscale/apitype"
	"tailscale.com/tailcfg"
)

const capName = "cairn.internal/cap/cairn"

func startTailnet(t *testing.T) *Tailnet {
	t.Helper()
	options := Options{}
	if os.Getenv("TAILNET_LOG") != "" {
		options.Logf = t.Logf
	}
	tailnet, err := Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tailnet.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return tailnet
}

func startClient(t *testing.T, tailnet *Tailnet, options ClientOptions) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	client, err := tailnet.Client(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// eventually repeats ask until it reports success; the failure includes the last answer.
func eventually(t *testing.T, what string, limit time.Duration, ask func() (answer string, right bool)) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		answer, right := ask()
		if right {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v, last answer: %s", what, limit, answer)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func get(client *Client, url string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.HTTP.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func whoIs(t *testing.T, at, of *Client) *apitype.WhoIsResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	local, err := at.Server().LocalClient()
	if err != nil {
		t.Fatal(err)
	}
	whois, err := local.WhoIs(ctx, of.IPs[0].String())
	if err != nil {
		return nil
	}
	return whois
}

func capsOf(whois *apitype.WhoIsResponse) string {
	if whois == nil {
		return "unknown"
	}
	text, _ := json.Marshal(whois.CapMap[tailcfg.PeerCapability(capName)])
	return string(text)
}

func TestTwoClients(t *testing.T) {
	t.Parallel()
	tailnet := startTailnet(t)
	if err := tailnet.Expect(Expect{Hostname: "Bob", User: "bob@example.com"}); err != nil {
		t.Fatal(err)
	}
	bob := startClient(t, tailnet, ClientOptions{Hostname: "Bob"})
	agent := startClient(t, tailnet, ClientOptions{Hostname: "agent", Tags: []string{"tag:agent"}})
	if err := bob.Serve(80); err != nil {
		t.Fatal(err)
	}

	t.Run("identities", func(t *testing.T) {
		eventually(t, "bob is a user", 5*time.Second, func() (string, bool) {
			whois := whoIs(t, agent, bob)
			untagged := whois != nil && whois.UserProfile.LoginName == "bob@example.com" && len(whois.Node.Tags) == 0
			return capsOf(whois), untagged && whois.Node.Name == "bob."+Domain+"."
		})
		eventually(t, "agent is tagged", 5*time.Second, func() (string, bool) {
			whois := whoIs(t, bob, agent)
			return capsOf(whois), whois != nil && whois.UserProfile.LoginName == "tagged-devices" && len(whois.Node.Tags) == 1
		})
	})

	t.Run("talk over a direct path", func(t *testing.T) {
		eventually(t, "echo", 10*time.Second, func() (string, bool) {
			body, err := get(agent, "http://bob/x")
			return body, err == nil && strings.Contains(body, `"path":"/x"`)
		})
		eventually(t, "direct", 10*time.Second, func() (string, bool) {
			path, err := agent.Path(context.Background(), "Bob")
			return path, err == nil && path == "direct"
		})
	})

	t.Run("grants per peer, changed while running", func(t *testing.T) {
		member, admin := json.RawMessage(`{"role":"member"}`), json.RawMessage(`{"role":"admin"}`)
		tailnet.Grants([]Grant{
			{Src: []string{"tag:agent"}, Dst: []string{"Bob"}, App: map[string][]json.RawMessage{capName: {member}}},
			{Src: []string{"bob@example.com"}, Dst: []string{"*"}, App: map[string][]json.RawMessage{capName: {admin}}},
		})
		want := func(at, of *Client, caps string) {
			t.Helper()
			eventually(t, of.Hostname+" at "+at.Hostname, 5*time.Second, func() (string, bool) {
				got := capsOf(whoIs(t, at, of))
				return got, got == caps
			})
		}
		want(bob, agent, `[{"role":"member"}]`)
		want(agent, bob, `[{"role":"admin"}]`)
		app := map[string][]json.RawMessage{capName: {admin}}
		tailnet.Grants([]Grant{{Src: []string{agent.ID}, Dst: []string{bob.ID}, App: app}})
		want(bob, agent, `[{"role":"admin"}]`)
		want(agent, bob, `null`)
	})

	t.Run("control cut: known peers still talk; restored: changes arrive", func(t *testing.T) {
		if err := tailnet.SetControl(false); err != nil {
			t.Fatal(err)
		}
		eventually(t, "offline", 5*time.Second, func() (string, bool) { return "", !tailnet.Nodes()[0].Online })
		if _, err := get(agent, "http://bob/"); err != nil {
			t.Fatal(err)
		}
		tailnet.Grants(nil)
		if caps := capsOf(whoIs(t, bob, agent)); caps != `[{"role":"admin"}]` {
			t.Fatalf("a change arrived without control: %s", caps)
		}
		if err := tailnet.SetControl(true); err != nil {
			t.Fatal(err)
		}
		eventually(t, "grant gone", 20*time.Second, func() (string, bool) {
			caps := capsOf(whoIs(t, bob, agent))
			return caps, caps == "null"
		})
	})

	t.Run("removed, and its address given to another", func(t *testing.T) {
		address := agent.IPs[0]
		if err := tailnet.Remove(agent.ID); err != nil {
			t.Fatal(err)
		}
		eventually(t, "gone", 5*time.Second, func() (string, bool) { return "", whoIs(t, bob, agent) == nil })
		heir := startClient(t, tailnet, ClientOptions{Hostname: "heir", User: "eve@example.com", IP: address})
		if heir.IPs[0] != address {
			t.Fatalf("heir has %v, not %s", heir.IPs, address)
		}
		eventually(t, "heir known", 5*time.Second, func() (string, bool) {
			whois := whoIs(t, bob, heir)
			known := whois != nil && string(whois.Node.StableID) == heir.ID
			return capsOf(whois), known && whois.UserProfile.LoginName == "eve@example.com"
		})
	})

	t.Run("a client that comes back is the same node", func(t *testing.T) {
		before := bob.ID
		if err := bob.Close(); err != nil {
			t.Fatal(err)
		}
		again := startClient(t, tailnet, ClientOptions{Hostname: "Bob"})
		if again.ID != before || again.IPs[0] != bob.IPs[0] {
			t.Fatalf("was %s %v, is %s %v", before, bob.IPs, again.ID, again.IPs)
		}
	})
}
