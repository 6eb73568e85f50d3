// Tests of the other services, of reflection, and of calls that are none.

package eventgrpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"

	"cairn.internal/native/eventgrpc/gen/genericv1"
	"cairn.internal/native/eventgrpc/gen/healthv1"
	"cairn.internal/native/eventgrpc/gen/healthv1/healthv1connect"
	"cairn.internal/native/eventgrpc/gen/mcpv1"
)

// openSource dials as the generic event source of Argo does, until the test closes it.
func openSource(
	t *testing.T, r *rig, config string,
) (*connect.ServerStreamForClient[genericv1.Event], context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	asked := connect.NewRequest(&genericv1.EventSource{Name: "cairn", Config: []byte(config)})
	stream, err := r.argo("argo").StartEventSource(ctx, asked)
	if err != nil {
		t.Fatal(err)
	}
	return stream, cancel
}

func TestASourceOfArgoGoesOnFromItsPosition(t *testing.T) {
	quickly(t, map[*time.Duration]time.Duration{&settleAfter: 100 * time.Millisecond, &keepEvery: 20 * time.Millisecond})
	r := startRig(t)
	client := r.mcp("ann")
	send := func(id string) {
		t.Helper()
		if _, err := client.IngestEvent(t.Context(), ingest(id)); err != nil {
			t.Fatal(err)
		}
	}
	kept := func() int {
		r.node.mu.Lock()
		defer r.node.mu.Unlock()
		return r.node.positions["prod"]
	}
	read := func(stream *connect.ServerStreamForClient[genericv1.Event], id string) {
		t.Helper()
		if !stream.Receive() {
			t.Fatal(stream.Err())
		}
		var event map[string]any
		if err := json.Unmarshal(stream.Msg().Payload, &event); err != nil || stream.Msg().Name != "cairn" ||
			event["id"] != id || event["specversion"] != "1.0" {
			t.Fatalf("got %s of %s: %v", stream.Msg().Payload, stream.Msg().Name, err)
		}
	}
	send("before")
	stream, hangUp := openSource(t, r, `{"reader":"prod"}`)
	eventually(t, "the feed", func() bool { return r.node.feeds() == 1 })
	send("1")
	read(stream, "1")
	eventually(t, "the kept position", func() bool { return kept() == 2 })
	send("2")
	read(stream, "2")
	hangUp()
	eventually(t, "the end of the feed", func() bool { return r.node.feeds() == 0 })
	behind := kept()
	send("3") // while no one listens
	stream, _ = openSource(t, r, "prod")
	if behind == 2 {
		read(stream, "2") // it was sent too shortly before the end
	}
	read(stream, "3")
	eventually(t, "the newest position", func() bool { return kept() == 4 })
}

func TestASourceWhoseEventsAreGoneGoesOnFromTheOldest(t *testing.T) {
	r := startRig(t)
	client := r.mcp("ann")
	for index := range 4 {
		if _, err := client.IngestEvent(t.Context(), ingest(fmt.Sprint(index))); err != nil {
			t.Fatal(err)
		}
	}
	r.node.positions["prod"], r.node.floor = 1, 3
	stream, _ := openSource(t, r, "prod")
	if !stream.Receive() || !strings.Contains(string(stream.Msg().Payload), `"id":"3"`) {
		t.Errorf("got %s %v", stream.Msg().Payload, stream.Err())
	}
	r.node.mu.Lock()
	defer r.node.mu.Unlock()
	if r.node.positions["prod"] != 3 {
		t.Errorf("kept is %d", r.node.positions["prod"])
	}
}

func TestConfigurationsOfASource(t *testing.T) {
	r := startRig(t)
	stream, _ := openSource(t, r, `{"reader":"prod","space":"team-a","types":["build.done"]}`)
	eventually(t, "the feed", func() bool { return r.node.feeds() == 1 })
	client := r.mcp("ann")
	for id, change := range map[string]func(*connect.Request[mcpv1.IngestEventRequest]){
		"elsewhere": func(e *connect.Request[mcpv1.IngestEventRequest]) {},
		"other type": func(e *connect.Request[mcpv1.IngestEventRequest]) {
			e.Msg.EventType = "x"
			e.Header().Set("Cairn-Space", "team-a")
		},
	} {
		asked := ingest(id)
		change(asked)
		if _, err := client.IngestEvent(t.Context(), asked); err != nil {
			t.Fatal(err)
		}
	}
	asked := ingest("right")
	asked.Header().Set("Cairn-Space", "team-a")
	if _, err := client.IngestEvent(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	if !stream.Receive() || !strings.Contains(string(stream.Msg().Payload), `"right"`) {
		t.Errorf("got %s %v", stream.Msg().Payload, stream.Err())
	}
	for _, config := range []string{`{"reader":`, `{"raeder":"x"}`, `a b`, `{"reader":"-x"}`, strings.Repeat("x", 65)} {
		refused, _ := openSource(t, r, config)
		if refused.Receive() {
			t.Errorf("%s was taken", config)
		}
		wants(t, refused.Err(), connect.CodeInvalidArgument, "config")
	}
}

func TestMarksStayFew(t *testing.T) {
	all := &keeper{}
	for index := range 100_000 {
		all.sent(fmt.Sprint(index))
	}
	if len(all.marks) > 3 {
		t.Errorf("%d marks", len(all.marks))
	}
	if got := all.settled(time.Now().Add(settleAfter + time.Second)); got != "99999" || len(all.marks) != 0 {
		t.Errorf("settled %s, %d left", got, len(all.marks))
	}
}

func TestHealth(t *testing.T) {
	quickly(t, map[*time.Duration]time.Duration{&watchEvery: 20 * time.Millisecond})
	r := startRig(t)
	client := r.health("ann")
	ready := func(value bool) {
		r.node.mu.Lock()
		defer r.node.mu.Unlock()
		r.node.ready = value
	}
	check := func(service string) healthv1.HealthCheckResponse_ServingStatus {
		t.Helper()
		answer, err := client.Check(t.Context(), connect.NewRequest(&healthv1.HealthCheckRequest{Service: service}))
		if err != nil {
			t.Fatal(err)
		}
		return answer.Msg.Status
	}
	if check("") != healthv1.HealthCheckResponse_SERVING || check("mcp.v1.MCPService") != healthv1.HealthCheckResponse_SERVING {
		t.Error("a node that serves does not say so")
	}
	_, err := client.Check(t.Context(), connect.NewRequest(&healthv1.HealthCheckRequest{Service: "x"}))
	wants(t, err, connect.CodeNotFound)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watch, err := client.Watch(ctx, connect.NewRequest(&healthv1.HealthCheckRequest{}))
	if err != nil || !watch.Receive() || watch.Msg().Status != healthv1.HealthCheckResponse_SERVING {
		t.Fatal(err, watch.Err())
	}
	ready(false)
	if !watch.Receive() || watch.Msg().Status != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("the watch says %v %v", watch.Msg(), watch.Err())
	}
	if check("") != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Error("a node that does not serve says that it does")
	}
	answer, err := r.mcp("ann").GetHealth(t.Context(), connect.NewRequest(&mcpv1.HealthCheckRequest{}))
	if err != nil || answer.Msg.Healthy || answer.Msg.Status != "unhealthy" || answer.Msg.Details["version"] != "1.2.3" {
		t.Errorf("%v %v", answer, err)
	}
}

func TestReflectionDescribesTheServices(t *testing.T) {
	r := startRig(t)
	client := grpcreflect.NewClient(r.as("ann"), r.server.URL, connect.WithGRPC())
	stream := client.NewStream(t.Context())
	names, err := stream.ListServices()
	if err != nil || fmt.Sprint(names) != "[generic.Eventing grpc.health.v1.Health mcp.v1.MCPService]" &&
		fmt.Sprint(names) != "[mcp.v1.MCPService generic.Eventing grpc.health.v1.Health]" {
		t.Errorf("%v %v", names, err)
	}
	files, err := stream.FileContainingSymbol("mcp.v1.MCPService")
	if err != nil || len(files) != 1 || len(files[0].Service[0].Method) != 5 {
		t.Errorf("%v %v", files, err)
	}
	_, _ = stream.Close()
}

func TestCallersWithoutRightsKeepNothing(t *testing.T) {
	r := startRig(t)
	r.node.noRights = true
	stream := grpcreflect.NewClient(r.as("x"), r.server.URL, connect.WithGRPC()).NewStream(t.Context())
	_, err := stream.ListServices()
	wants(t, err, connect.CodePermissionDenied, "You have no right here Paste this grant.")
	_, err = r.mcp("x").GetMetrics(t.Context(), connect.NewRequest(&mcpv1.MetricsRequest{}))
	wants(t, err, connect.CodePermissionDenied)
	watch, err := r.health("x").Watch(t.Context(), connect.NewRequest(&healthv1.HealthCheckRequest{}))
	if err == nil && !watch.Receive() {
		err = watch.Err()
	}
	wants(t, err, connect.CodePermissionDenied)
	dials := &atomic.Int64{}
	client := healthv1connect.NewHealthClient(r.through("x", dials), r.server.URL, connect.WithGRPC())
	for call := range 3 {
		if _, err := client.Check(t.Context(), connect.NewRequest(&healthv1.HealthCheckRequest{})); err != nil {
			t.Fatal(err)
		}
		if count := dials.Load(); count != int64(call+1) {
			t.Errorf("after %d calls there were %d connections", call+1, count)
		}
		eventually(t, "the end of the connection", func() bool { return r.open.Load() == 0 })
	}
}

// frame returns a message as it is sent.
func frame(message []byte) []byte {
	head := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(head[1:], uint32(len(message)))
	return append(head, message...)
}

func raw(t *testing.T, r *rig, caller, path, mediaType string, body []byte) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.server.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", mediaType)
	response, err := r.as(caller).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.ReadAll(response.Body)
	return response
}

func TestOnlyCallsOfGRPCAreServed(t *testing.T) {
	r := startRig(t)
	const path = "/mcp.v1.MCPService/IngestEvent"
	for _, mediaType := range []string{"", "application/json", "application/proto", "application/grpc-web", "application/grpc+json"} {
		if answer := raw(t, r, "ann", path, mediaType, frame(nil)); answer.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %d", mediaType, answer.StatusCode)
		}
	}
	// HTTP/1.1 has no trailers that all clients read.
	h1, err := http.Post(r.server.URL+path, "application/grpc", bytes.NewReader(frame(nil)))
	if err != nil || h1.StatusCode != http.StatusUnsupportedMediaType {
		t.Fatalf("%v %v", h1, err)
	}
	h1.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	for path, want := range map[string]bool{
		path: true, "/generic.Eventing/StartEventSource": true, "/grpc.health.v1.Health/Check": true,
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": true, "/mcp": false, "/mcp.v1.MCPService": false,
		"/mcp.v1.MCPServiceX/y": false, "/": false,
	} {
		if Serves(path) != want {
			t.Errorf("Serves(%s) is %v", path, !want)
		}
	}
}

func TestMalformedMessages(t *testing.T) {
	r := startRig(t)
	const path = "/mcp.v1.MCPService/IngestEvent"
	for name, body := range map[string][]byte{
		"a huge message":  {0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3},
		"a short message": {0, 0, 0, 1, 0, 1, 2},
		"no protobuf":     frame([]byte{0xff, 0xff, 0xff}),
		"no UTF-8":        frame([]byte{0x0a, 1, 0xff}),
		"no message":      {},
	} {
		answer := raw(t, r, "ann", path, "application/grpc", body)
		status := answer.Trailer.Get("Grpc-Status") + answer.Header.Get("Grpc-Status")
		if answer.StatusCode != http.StatusOK || status == "" || status == "0" {
			t.Errorf("%s: %d %v %v", name, answer.StatusCode, answer.Header, answer.Trailer)
		}
		if name == "a huge message" && status != "8" {
			t.Errorf("%s has the status %s", name, status)
		}
	}
	if r.node.count() != 0 {
		t.Error("something was stored")
	}
}

func TestSlowMessagesAreGivenUp(t *testing.T) {
	quickly(t, map[*time.Duration]time.Duration{&messageGrace: 100 * time.Millisecond})
	r := startRig(t)
	reader, writer := io.Pipe()
	defer writer.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.server.URL+"/mcp.v1.MCPService/EventStream", reader)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/grpc")
	response, err := r.as("ann").Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	time.Sleep(3 * messageGrace) // no deadline between messages
	_, _ = writer.Write([]byte{0, 0, 0, 0, 9, 1})
	_, _ = io.ReadAll(response.Body)
	if response.Trailer.Get("Grpc-Status") != "4" || !strings.Contains(response.Trailer.Get("Grpc-Message"), "too slowly") {
		t.Errorf("%v %v", response.Header, response.Trailer)
	}
}

func TestBytesOfACallerAreBounded(t *testing.T) {
	r := startRig(t)
	r.bytes.limit = MaxMessageBytes
	large := ingest("1")
	large.Msg.Data = `"` + strings.Repeat("x", 600_000) + `"`
	// One message waits until the one before it is stored.
	stream := r.mcp("ann").EventStream(t.Context())
	for index := range 20 {
		sent := event(fmt.Sprint("s", index))
		sent.Data = large.Msg.Data
		if err := stream.Send(sent); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all events", func() bool { return r.node.count() == 20 })
	_ = stream.CloseRequest()
	eventually(t, "room", func() bool { return r.bytes.sum() == 0 })
	quickly(t, map[*time.Duration]time.Duration{&messageGrace: time.Second})
	hold := make(chan struct{})
	r.node.mu.Lock()
	r.node.refuse = func(_ http.ResponseWriter, request *http.Request) bool {
		if request.URL.Path == "/events/batch" {
			<-hold
		}
		return false
	}
	r.node.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		_, err := r.mcp("ann").IngestEvent(t.Context(), large)
		done <- err
	}()
	eventually(t, "the first message", func() bool { return r.bytes.sum() > 600_000 })
	_, err := r.mcp("ann").IngestEvent(t.Context(), large)
	wants(t, err, connect.CodeResourceExhausted, "too many bytes")
	close(hold)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
