// Tests of gRPC calls over real WireGuard, with a real client. What the services do is tested in eventgrpc.

package core

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"cairn.internal/native/eventgrpc/gen/mcpv1"
	"cairn.internal/native/eventgrpc/gen/mcpv1/mcpv1connect"
	"cairn.internal/native/tailnettest"
)

// overH2 returns an HTTP client whose requests go over one h2 connection of this device.
func overH2(t *testing.T, r *rig, client *tailnettest.Client) *http.Client {
	t.Helper()
	spoken := &http.Protocols{}
	spoken.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		Protocols:   spoken,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return dialRaw(t, client, r.ip()+":80"), nil },
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func callsOf(t *testing.T, r *rig, client *tailnettest.Client, host string) mcpv1connect.MCPServiceClient {
	return mcpv1connect.NewMCPServiceClient(overH2(t, r, client), "http://"+host, connect.WithGRPC())
}

// eventRoutes serve a batch, and a stream that sends what it is given.
func eventRoutes(r *rig, send <-chan string) {
	r.target.handle(func(writer http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/events/stream" {
			var batch []map[string]any
			_ = json.NewDecoder(request.Body).Decode(&batch)
			fmt.Fprint(writer, `{"results":[{"id":"1","cursor":"a-e1"}]}`)
			return
		}
		fmt.Fprint(writer, "id: a-e0\n\n")
		_ = http.NewResponseController(writer).Flush()
		for {
			select {
			case text := <-send:
				fmt.Fprintf(writer, "id: a-e1\ndata: %s\n\n", text)
				_ = http.NewResponseController(writer).Flush()
			case <-request.Context().Done():
				return
			}
		}
	})
}

// openCalls returns how many streams of gRPC a node has open.
func openCalls(node *Node) int64 {
	node.conns.streams.mu.Lock()
	defer node.conns.streams.mu.Unlock()
	return node.conns.streams.sum
}

func oneEvent() *connect.Request[mcpv1.IngestEventRequest] {
	return connect.NewRequest(&mcpv1.IngestEventRequest{EventId: "1", EventType: "t", Source: "s", Data: "{}"})
}

func TestCallsReachTheTargetWithTheirCaller(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop", User: "ann@example.com"})
	eventRoutes(r, nil)
	asked := oneEvent()
	for _, name := range []string{headerCaller, headerSecret, "X-Forwarded-For", "Tailscale-User-Login", "Cookie"} {
		asked.Header().Set(name, "forged")
	}
	asked.Header().Set("Cairn-Client", "test 1")
	if _, err := callsOf(t, r, client, "cairn").IngestEvent(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	r.target.mu.Lock()
	seen := r.target.last
	r.target.mu.Unlock()
	var caller Caller
	if err := json.Unmarshal([]byte(seen.Header.Get(headerCaller)), &caller); err != nil || caller.ID != client.ID {
		t.Errorf("the caller is %s: %v", seen.Header.Get(headerCaller), err)
	}
	if seen.Host != "cairn" || seen.Header.Get(headerSecret) != r.params.IngressSecret ||
		seen.Header.Get(headerScheme) != "http" || seen.Header.Get("Cairn-Client") != "test 1" {
		t.Errorf("%s got %v", seen.Host, seen.Header)
	}
	for name, values := range seen.Header {
		if len(values) != 1 || strings.Contains(values[0], "forged") {
			t.Errorf("%s is %v", name, values)
		}
	}
	// Other paths are served over h2, too.
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://cairn/events", nil)
	response, err := overH2(t, r, client).Do(request)
	if err != nil || response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
		t.Fatal(response, err)
	}
	response.Body.Close()
}

func TestRefusedCallsAreStatuses(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	_, err := callsOf(t, r, client, "elsewhere").IngestEvent(t.Context(), oneEvent())
	if connect.CodeOf(err) != connect.CodePermissionDenied || !strings.Contains(err.Error(), "does not serve the host") {
		t.Errorf("a foreign host: %v", err)
	}
	asked := oneEvent()
	asked.Header().Set("Origin", "https://elsewhere.example")
	_, err = callsOf(t, r, client, "cairn").IngestEvent(t.Context(), asked)
	if connect.CodeOf(err) != connect.CodePermissionDenied || !strings.Contains(err.Error(), "elsewhere.example") {
		t.Errorf("a foreign origin: %v", err)
	}
	sharee := tailnettest.ForeignSharee
	if err := tailnet.Update(client.Hostname, tailnettest.Change{Foreign: &sharee}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the refusal of a foreign device", testTimeout, func() bool {
		_, err = callsOf(t, r, client, "cairn").IngestEvent(t.Context(), oneEvent())
		return connect.CodeOf(err) == connect.CodePermissionDenied
	})
	before := r.target.seen.Load()
	_, err = callsOf(t, r, client, "cairn").IngestEvent(t.Context(), oneEvent())
	if connect.CodeOf(err) != connect.CodePermissionDenied || r.target.seen.Load() != before {
		t.Errorf("the target saw a call of a foreign device: %v", err)
	}
}

func TestRevocationEndsACall(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	leaver := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "leaver"})
	stayer := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "stayer"})
	send := make(chan string)
	eventRoutes(r, send)
	node := r.node()
	open := func(client *tailnettest.Client) *connect.BidiStreamForClient[mcpv1.Event, mcpv1.Event] {
		before := openCalls(node)
		stream := callsOf(t, r, client, "cairn").EventStream(t.Context())
		if err := stream.Send(nil); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the stream", testTimeout, func() bool { return openCalls(node) > before })
		return stream
	}
	stays, leaves := open(stayer), open(leaver)
	began := time.Now()
	if err := tailnet.Remove(leaver.Hostname); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of its call", testTimeout, func() bool { return openCalls(node) == 1 })
	if took := time.Since(began); took > revokeGoal {
		t.Errorf("the call ended after %v", took)
	}
	_ = leaves.CloseRequest()
	go func() {
		for { // also to the route of the one that left, until that has ended
			select {
			case send <- `{"id":"1","type":"t","source":"s","data":1}`:
			case <-t.Context().Done():
				return
			}
		}
	}()
	if got, err := stays.Receive(); err != nil || got.EventId != "1" {
		t.Error(got, err)
	}
}

func TestACallThatTakesNothingIsCut(t *testing.T) {
	hasten(t)
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	send := make(chan string)
	eventRoutes(r, send)
	stream := callsOf(t, r, client, "cairn").EventStream(t.Context())
	if err := stream.Send(nil); err != nil {
		t.Fatal(err)
	}
	node := r.node()
	eventually(t, "the stream", testTimeout, func() bool { return openCalls(node) == 1 })
	random := make([]byte, 64<<10) // or it would be compressed to nothing
	_, _ = rand.Read(random)
	text := `{"id":"1","type":"t","source":"s","data":"` + hex.EncodeToString(random) + `"}`
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case send <- text:
			case <-time.After(3 * time.Second):
				return
			}
		}
	}()
	eventually(t, "the end of the stream", testTimeout, func() bool { return openCalls(node) == 0 })
	<-ended
	var err error
	for err == nil {
		_, err = stream.Receive()
	}
	if err == io.EOF {
		t.Error("the stream ended as if it were whole")
	}
}
