// Tests of mcp.v1.MCPService with a real client.

package eventgrpc

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"cairn.internal/native/eventgrpc/gen/mcpv1"
)

func ingest(id string) *connect.Request[mcpv1.IngestEventRequest] {
	return connect.NewRequest(&mcpv1.IngestEventRequest{
		EventId: id, EventType: "build.done", Source: "ci", Timestamp: 1_700_000_000, Data: `{"n":1}`,
	})
}

func event(id string) *mcpv1.Event {
	return &mcpv1.Event{EventId: id, EventType: "build.done", Source: "ci", Data: `{"n":1}`}
}

func TestOneEventIsStored(t *testing.T) {
	r := startRig(t)
	client := r.mcp("ann")
	asked := ingest("1")
	asked.Msg.Metadata = map[string]string{"trace": "abc", "Not A Name": "x", "cairncaller": "root", "id": "other"}
	asked.Header().Set("Cairn-Space", "team-a")
	answer, err := client.IngestEvent(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	got := answer.Msg
	if got.EventId != "1" || !got.Success || got.Status != "accepted" || got.Timestamp == 0 || got.Message != "stored" ||
		answer.Header().Get("Cairn-Cursor") != cursorOf(1) {
		t.Errorf("answer %v, headers %v", got, answer.Header())
	}
	stored := r.node.events[0]
	for name, want := range map[string]any{
		"id": "1", "type": "build.done", "source": "ann/ci", "time": "2023-11-14T22:13:20Z", "specversion": "1.0",
		"datacontenttype": "application/json", "trace": "abc", "cairncaller": "ann", "cairnspace": "team-a",
		"tasmetadata": `{"Not A Name":"x","id":"other"}`,
	} {
		if stored[name] != want {
			t.Errorf("%s is %v, not %v", name, stored[name], want)
		}
	}
	again, err := client.IngestEvent(t.Context(), ingest("1"))
	if err != nil || again.Msg.Message != "stored before" || again.Msg.Status != "accepted" || r.node.count() != 1 {
		t.Errorf("the duplicate: %v %v, %d events", again, err, r.node.count())
	}
}

func TestWrongEventsAreRefusedByField(t *testing.T) {
	r := startRig(t)
	client := r.mcp("ann")
	for field, change := range map[string]func(*mcpv1.IngestEventRequest){
		"event_id":   func(e *mcpv1.IngestEventRequest) { e.EventId = "" },
		"event_type": func(e *mcpv1.IngestEventRequest) { e.EventType = "" },
		"source":     func(e *mcpv1.IngestEventRequest) { e.Source = "" },
		"data":       func(e *mcpv1.IngestEventRequest) { e.Data = "{" },
		"timestamp":  func(e *mcpv1.IngestEventRequest) { e.Timestamp = -1 },
	} {
		asked := ingest("1")
		change(asked.Msg)
		_, err := client.IngestEvent(t.Context(), asked)
		if failed := wants(t, err, connect.CodeInvalidArgument, field); failed.Meta().Get("Cairn-Field") != field {
			t.Errorf("%s: metadata %v", field, failed.Meta())
		}
	}
	empty := ingest("1")
	empty.Msg.Data = ""
	_, err := client.IngestEvent(t.Context(), empty)
	wants(t, err, connect.CodeInvalidArgument, "data is empty")
	if r.node.count() != 0 {
		t.Error("a wrong event was stored")
	}
	metrics, err := client.GetMetrics(t.Context(), connect.NewRequest(&mcpv1.MetricsRequest{}))
	if err != nil || metrics.Msg.TotalEvents != 6 || metrics.Msg.ErrorEvents != 6 {
		t.Errorf("metrics %v %v", metrics, err)
	}
}

func TestRefusalsOfTheNodeAreStatuses(t *testing.T) {
	r := startRig(t)
	client := r.mcp("ann")
	for status, want := range map[int]connect.Code{
		400: connect.CodeInvalidArgument, 403: connect.CodePermissionDenied, 410: connect.CodeOutOfRange,
		413: connect.CodeResourceExhausted, 429: connect.CodeResourceExhausted, 503: connect.CodeUnavailable,
		500: connect.CodeInternal, 507: connect.CodeResourceExhausted,
	} {
		r.node.refuse = func(writer http.ResponseWriter, _ *http.Request) bool {
			writer.Header().Set("Retry-After", "7")
			problemTo(writer, status, "some_code", "That is wrong: ä%", "Do this.")
			return true
		}
		_, err := client.IngestEvent(t.Context(), ingest("1"))
		failed := wants(t, err, want, "That is wrong: ä% Do this.")
		if failed.Meta().Get("Cairn-Code") != "some_code" || failed.Meta().Get("Retry-After") != "7" {
			t.Errorf("%d: metadata %v", status, failed.Meta())
		}
	}
	r.node.refuse = nil
	r.node.judge = func(map[string]any) map[string]any {
		return map[string]any{"code": "too_large", "field": "data", "message": "The event has 3 MB"}
	}
	_, err := client.IngestEvent(t.Context(), ingest("1"))
	wants(t, err, connect.CodeResourceExhausted, "The event has 3 MB")
}

func TestLargeMessagesAreRefused(t *testing.T) {
	r := startRig(t)
	client := r.mcp("ann")
	large := ingest("1")
	large.Msg.Data = `"` + strings.Repeat("x", MaxMessageBytes) + `"`
	_, err := client.IngestEvent(t.Context(), large)
	wants(t, err, connect.CodeResourceExhausted, "are allowed")
	// Small on the way, large when it is decompressed.
	packed := connect.WithSendGzip()
	_, err = r.mcp("ann", packed).IngestEvent(t.Context(), large)
	wants(t, err, connect.CodeResourceExhausted)
	fits := ingest("2")
	fits.Msg.Data = `"` + strings.Repeat("x", MaxMessageBytes/2) + `"`
	if _, err := r.mcp("ann", packed).IngestEvent(t.Context(), fits); err != nil || r.node.count() != 1 {
		t.Errorf("%v, %d events", err, r.node.count())
	}
}

func TestEventStreamStoresAndSendsWhatOthersSend(t *testing.T) {
	r := startRig(t)
	ann, bob := r.mcp("ann").EventStream(t.Context()), r.mcp("bob").EventStream(t.Context())
	for _, stream := range []*connect.BidiStreamForClient[mcpv1.Event, mcpv1.Event]{ann, bob} {
		if err := stream.Send(nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both streams", func() bool { return r.handler.counters.open.Load() == 2 })
	eventually(t, "both feeds", func() bool { return r.node.feeds() == 2 })
	const count = 1000
	go func() {
		for index := range count {
			if err := ann.Send(event(fmt.Sprint(index))); err != nil {
				t.Error(err)
				return
			}
		}
		ann.CloseRequest() // a half-closed stream goes on receiving
	}()
	for index := range count {
		got, err := bob.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if got.EventId != fmt.Sprint(index) || got.Source != "ann/ci" || got.Data != `{"n":1}` ||
			got.Metadata["cairnposition"] != cursorOf(index+1) {
			t.Fatalf("event %d is %v", index, got)
		}
	}
	if len(r.node.batches) >= count/2 {
		t.Errorf("%d events took %d batches", count, len(r.node.batches))
	}
	if err := bob.Send(event("from bob")); err != nil {
		t.Fatal(err)
	}
	got, err := ann.Receive()
	if err != nil || got.EventId != "from bob" {
		t.Errorf("ann got %v %v", got, err)
	}
	if err := bob.CloseRequest(); err != nil {
		t.Fatal(err)
	}
}

func TestAWrongEventEndsAStreamAndSaysWhich(t *testing.T) {
	r := startRig(t)
	stream := r.mcp("ann").EventStream(t.Context())
	for _, id := range []string{"1", "2", "", "4"} {
		if err := stream.Send(event(id)); err != nil {
			break // the stream may have ended before the last one
		}
	}
	_, err := stream.Receive()
	wants(t, err, connect.CodeInvalidArgument, "event 3 of this stream", "event_id is empty")
	if r.node.count() != 2 {
		t.Errorf("%d events are stored", r.node.count())
	}
}

func TestAStreamWaitsWhereTheNodeIsBusy(t *testing.T) {
	r := startRig(t)
	refused := 0
	r.node.judge = func(sent map[string]any) map[string]any {
		if sent["id"] == "2" && refused < 2 {
			refused++
			return map[string]any{"code": "rate_limited", "message": "Too many"}
		}
		return nil
	}
	stream := r.mcp("ann").EventStream(t.Context())
	for _, id := range []string{"1", "2", "3"} {
		if err := stream.Send(event(id)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all events", func() bool { return r.node.count() == 3 })
	quickly(t, map[*time.Duration]time.Duration{&patience: time.Millisecond})
	r.node.mu.Lock()
	r.node.judge = func(map[string]any) map[string]any {
		return map[string]any{"code": "rate_limited", "message": "Too many", "hint": "Wait."}
	}
	r.node.mu.Unlock()
	if err := stream.Send(event("4")); err != nil {
		t.Fatal(err)
	}
	_, err := stream.Receive()
	wants(t, err, connect.CodeResourceExhausted, `event 4 of this stream (event_id "4")`, "Too many Wait.")
}

func TestStreamEventsBeginsAtATime(t *testing.T) {
	r := startRig(t)
	client := r.mcp("ann")
	for index := range 7 {
		asked := ingest(fmt.Sprint(index))
		asked.Msg.Timestamp = int64(1_700_000_000 + index)
		if index == 3 {
			asked.Msg.EventType = "build.failed"
		}
		if _, err := client.IngestEvent(t.Context(), asked); err != nil {
			t.Fatal(err)
		}
	}
	read := func(asked *mcpv1.StreamEventsRequest, metadata ...string) (ids string) {
		t.Helper()
		request := connect.NewRequest(asked)
		for index := 0; index < len(metadata); index += 2 {
			request.Header().Set(metadata[index], metadata[index+1])
		}
		stream, err := client.StreamEvents(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for stream.Receive() {
			ids += stream.Msg().EventId
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	if got := read(&mcpv1.StreamEventsRequest{}); got != "0123456" {
		t.Errorf("all: %s", got)
	}
	if got := read(&mcpv1.StreamEventsRequest{StartTimestamp: 1_700_000_002}); got != "23456" {
		t.Errorf("from a time: %s", got)
	}
	if got := read(&mcpv1.StreamEventsRequest{EventTypes: []string{"build.failed"}}); got != "3" {
		t.Errorf("of a type: %s", got)
	}
	if got := read(&mcpv1.StreamEventsRequest{}, "Cairn-Since", cursorOf(5)); got != "56" {
		t.Errorf("behind a cursor: %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request := connect.NewRequest(&mcpv1.StreamEventsRequest{StartTimestamp: 1_700_000_006, Follow: true})
	follow, err := r.mcp("bob").StreamEvents(ctx, request)
	if err != nil || !follow.Receive() || follow.Msg().EventId != "6" || follow.Msg().Timestamp != 1_700_000_006 {
		t.Fatal(err, follow.Err())
	}
	if _, err := client.IngestEvent(t.Context(), ingest("new")); err != nil {
		t.Fatal(err)
	}
	if !follow.Receive() || follow.Msg().EventId != "new" {
		t.Error(follow.Err())
	}
	cancel()
	if follow.Receive() {
		t.Error("an event after the client cancelled")
	}
}

func TestACursorThatIsTooOldIsOutOfRange(t *testing.T) {
	r := startRig(t)
	r.node.floor = 5
	request := connect.NewRequest(&mcpv1.StreamEventsRequest{Follow: true})
	request.Header().Set("Cairn-Since", cursorOf(2))
	stream, err := r.mcp("ann").StreamEvents(t.Context(), request)
	if err == nil && !stream.Receive() {
		err = stream.Err()
	}
	failed := wants(t, err, connect.CodeOutOfRange, "older than what is kept")
	if failed.Meta().Get("Cairn-Oldest") != cursorOf(5) {
		t.Errorf("metadata %v", failed.Meta())
	}
}

func TestAStreamEndsWithTheReasonOfTheNode(t *testing.T) {
	r := startRig(t)
	stream := r.mcp("revoked").EventStream(t.Context())
	if err := stream.Send(nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the feed", func() bool { return r.node.feeds() == 1 })
	r.node.mu.Lock()
	r.node.noRights = true
	r.node.mu.Unlock()
	_, err := stream.Receive()
	wants(t, err, connect.CodePermissionDenied, "Your rights have changed")
}

func TestASlowClientDelaysNoOther(t *testing.T) {
	r := startRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	slow, quick := r.mcp("slow").EventStream(ctx), r.mcp("quick").EventStream(ctx)
	for _, stream := range []*connect.BidiStreamForClient[mcpv1.Event, mcpv1.Event]{slow, quick} {
		if err := stream.Send(nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both feeds", func() bool { return r.node.feeds() == 2 })
	// More than the windows and the buffers of both sockets hold.
	const count = 32
	random := make([]byte, 375_000) // or it would be compressed to nothing
	_, _ = rand.Read(random)
	noise := base64.StdEncoding.EncodeToString(random)
	sender := r.mcp("ann")
	var sending sync.WaitGroup
	sending.Go(func() {
		for index := range count {
			large := ingest(fmt.Sprint(index))
			large.Msg.Data = `"` + noise + `"`
			if _, err := sender.IngestEvent(t.Context(), large); err != nil {
				t.Errorf("event %d: %v", index, err)
				cancel()
				return
			}
		}
	})
	for index := range count {
		if got, err := quick.Receive(); err != nil || got.EventId != fmt.Sprint(index) {
			t.Fatalf("event %d: %v %v", index, got, err)
		}
	}
	sending.Wait()
	r.handler.slowAfter.Store(int64(50 * time.Millisecond))
	time.Sleep(100 * time.Millisecond)
	received := 0
	var err error
	for err == nil {
		if _, err = slow.Receive(); err == nil {
			received++
		}
	}
	failed := wants(t, err, connect.CodeResourceExhausted, "too slowly", "cairn-since")
	if since := offsetOf(failed.Meta().Get("Cairn-Since")); since != received || received == 0 || received >= count {
		t.Errorf("%d events were received, the status says %d", received, since)
	}
}

func TestManyStreamsAndTheirBound(t *testing.T) {
	r := startRig(t)
	client := r.mcp("ann")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var streams []*connect.BidiStreamForClient[mcpv1.Event, mcpv1.Event]
	for range 100 {
		stream := client.EventStream(ctx)
		if err := stream.Send(nil); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, stream)
	}
	eventually(t, "100 feeds", func() bool { return r.node.feeds() == 100 })
	more := client.EventStream(ctx)
	_ = more.Send(nil)
	_, err := more.Receive()
	wants(t, err, connect.CodeResourceExhausted, "too many streams")
	if _, err := r.mcp("bob").IngestEvent(t.Context(), ingest("1")); err != nil {
		t.Fatal(err)
	}
	for index, stream := range streams {
		if got, err := stream.Receive(); err != nil || got.EventId != "1" {
			t.Fatalf("stream %d: %v %v", index, got, err)
		}
	}
	cancel()
	for _, stream := range streams {
		_, _ = stream.CloseRequest(), stream.CloseResponse()
	}
	eventually(t, "the end of all feeds", func() bool { return r.node.feeds() == 0 && r.streams.sum() == 0 })
}

func TestADeadlineEndsAStream(t *testing.T) {
	r := startRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	stream := r.mcp("ann").EventStream(ctx)
	_ = stream.Send(nil)
	_, err := stream.Receive()
	wants(t, err, connect.CodeDeadlineExceeded)
	eventually(t, "the end of the feed", func() bool { return r.node.feeds() == 0 })
}

func TestASilentNodeEndsAStream(t *testing.T) {
	quickly(t, map[*time.Duration]time.Duration{&silence: 100 * time.Millisecond})
	r := startRig(t)
	r.node.refuse = func(writer http.ResponseWriter, request *http.Request) bool {
		if request.URL.Path != "/events/stream" {
			return false
		}
		writer.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(writer).Flush()
		<-request.Context().Done()
		return true
	}
	stream := r.mcp("ann").EventStream(t.Context())
	_ = stream.Send(nil)
	_, err := stream.Receive()
	wants(t, err, connect.CodeUnavailable, "silent")
}
