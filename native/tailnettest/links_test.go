// Tests of links: delay, loss and one-way cuts between two nodes on the relay.

package tailnettest

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// pair is two nodes on the relay and datagrams from one to the other, which nothing retransmits.
type pair struct {
	tailnet  *Tailnet
	one, two *Client
}

func startPair(t *testing.T) pair {
	t.Helper()
	tailnet := startTailnet(t)
	tailnet.SetDirect(false)
	p := pair{
		tailnet,
		startClient(t, tailnet, ClientOptions{Hostname: "one"}),
		startClient(t, tailnet, ClientOptions{Hostname: "two"}),
	}
	if err := p.one.Serve(80); err != nil {
		t.Fatal(err)
	}
	eventually(t, "echo by relay", 15*time.Second, func() (string, bool) {
		body, err := get(p.two, "http://one/")
		return body, err == nil
	})
	return p
}

func (p pair) link(t *testing.T, from, to string, link Link) {
	t.Helper()
	if err := p.tailnet.SetLink(from, to, link); err != nil {
		t.Fatal(err)
	}
}

// roundTrip returns the best of three.
func (p pair) roundTrip(t *testing.T) time.Duration {
	t.Helper()
	best := time.Hour
	for range 3 {
		started := time.Now()
		if _, err := get(p.two, "http://one/"); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(started))
	}
	return best
}

func TestLinkDelays(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	p.link(t, "two", "one", Link{Delay: 100 * time.Millisecond})
	if took := p.roundTrip(t); took < 100*time.Millisecond || took > 180*time.Millisecond {
		t.Errorf("with 100 ms one way: %v", took)
	}
	p.link(t, "*", "*", Link{Delay: 100 * time.Millisecond, Jitter: 20 * time.Millisecond})
	if took := p.roundTrip(t); took < 200*time.Millisecond || took > 400*time.Millisecond {
		t.Errorf("with 100 to 120 ms both ways: %v", took)
	}
	p.link(t, "*", "*", Link{})
	if took := p.roundTrip(t); took > 90*time.Millisecond {
		t.Errorf("whole again: %v", took)
	}
}

// Datagrams show each direction by itself; delayed ones keep their order.
func TestLinkCutAndLoss(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	receive := func(client *Client) <-chan string {
		packets, err := client.Server().ListenPacket("udp", client.IPs[0].String()+":9000")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { packets.Close() })
		received := make(chan string, 1000)
		go func() {
			var buffer [100]byte
			for {
				size, _, err := packets.ReadFrom(buffer[:])
				if err != nil {
					return
				}
				received <- string(buffer[:size])
			}
		}()
		return received
	}
	send := func(from *Client, to *Client) io.Writer {
		conn, err := from.Dial(ctx, "udp", net.JoinHostPort(to.IPs[0].String(), "9000"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	atOne, atTwo := receive(p.one), receive(p.two)
	toOne, toTwo := send(p.two, p.one), send(p.one, p.two)
	received := func(what string, to io.Writer, at <-chan string, want int, between time.Duration) []string {
		t.Helper()
		for range 100 {
			if _, err := io.WriteString(to, what); err != nil {
				t.Fatal(err)
			}
			time.Sleep(between)
		}
		var got []string
		for len(got) < want {
			select {
			case text := <-at:
				got = append(got, text)
			case <-time.After(2 * time.Second):
				return got
			}
		}
		return got
	}

	p.link(t, "one", "two", Link{Cut: true})
	if got := received("against the cut", toTwo, atTwo, 1, time.Millisecond); len(got) > 0 {
		t.Fatalf("%d packets passed a cut", len(got))
	}
	if got := received("the other way", toOne, atOne, 100, time.Millisecond); len(got) < 95 {
		t.Fatalf("%d of 100 packets passed in the direction that is whole", len(got))
	}
	p.link(t, "one", "two", Link{Loss: 0.5, Delay: 20 * time.Millisecond})
	got := received("lossy", toTwo, atTwo, 100, time.Millisecond)
	if len(got) < 20 || len(got) > 80 || strings.Contains(strings.Join(got, ""), "cut") {
		t.Fatalf("%d of 100 packets passed with a loss of half", len(got))
	}
}

func TestLinksAreRefused(t *testing.T) {
	t.Parallel()
	tailnet := startTailnet(t)
	if err := tailnet.SetLink("*", "*", Link{Cut: true}); err == nil || !strings.Contains(err.Error(), "direct") {
		t.Errorf("with direct paths: %v", err)
	}
	tailnet.SetDirect(false)
	for name, link := range map[string]Link{"loss": {Loss: 1.5}, "negative": {Delay: -1}, "endless": {Delay: time.Hour}} {
		if tailnet.SetLink("*", "*", link) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := tailnet.SetLink("nobody", "*", Link{Cut: true}); err == nil {
		t.Error("an unknown node was taken")
	}
}
