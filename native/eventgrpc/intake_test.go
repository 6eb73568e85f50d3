// Tests of how events come in: batches and their bounds, what is sent again and what ends a stream; calls of one
// response and their bounds.

package eventgrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"cairn.internal/native/eventgrpc/gen/healthv1"
	"cairn.internal/native/eventgrpc/gen/mcpv1"
)

func intakeOf(r *rig) *intake { return &intake{handler: r.handler, events: make(chan received)} }

func TestBatchesAreBounded(t *testing.T) {
	r := startRig(t)
	for _, each := range []struct{ count, bytes, most int }{{1000, 1, batchEvents}, {20, 100_000, 3}} {
		in := intakeOf(r)
		go func() {
			defer close(in.events)
			for index := range each.count {
				sent := event(fmt.Sprint(index))
				sent.Data = `"` + strings.Repeat("x", each.bytes) + `"`
				in.events <- received{sent, 2}
			}
		}()
		count, largest := 0, 0
		for first := range in.events {
			batch, hold, err := in.gather(first)
			if err != nil || hold != int64(2*len(batch)) {
				t.Fatalf("%d events hold %d bytes: %v", len(batch), hold, err)
			}
			count, largest = count+len(batch), max(largest, len(batch))
		}
		if count != each.count || largest > each.most || largest < 2 {
			t.Errorf("%d events of %d bytes: %d came, %d in one batch", each.count, each.bytes, count, largest)
		}
	}
}

func TestAStreamEndsAtTheFirstEventThatCannotBeStored(t *testing.T) {
	r := startRig(t)
	r.node.judge = func(sent map[string]any) map[string]any {
		if sent["id"] != "2" {
			return nil
		}
		return map[string]any{"code": "too_large", "field": "data", "message": "The event has 3 MB"}
	}
	in := intakeOf(r)
	batch, _, _ := in.gather(received{event("1"), 0})
	for _, id := range []string{"2", "3"} {
		more, _, _ := in.gather(received{event(id), 0})
		batch = append(batch, more...)
	}
	ctx, cancel := context.WithTimeout(ofCall(t), waitMax)
	defer cancel()
	failed := wants(t, in.send(ctx, batch), connect.CodeResourceExhausted, `event 2 of this stream (event_id "2")`, "3 MB")
	if failed.Meta().Get("Cairn-Field") != "data" || failed.Meta().Get("Cairn-Code") != "too_large" || len(r.node.batches) != 1 {
		t.Errorf("metadata %v, batches %v", failed.Meta(), r.node.batches)
	}
	if plain := errors.New("cut off"); in.explain(plain, "1", 0) != plain {
		t.Error("an error that is no status was changed")
	}
}

func TestAWrongFirstEventAsksTheNodeNothing(t *testing.T) {
	r := startRig(t)
	in := intakeOf(r)
	go func() {
		in.events <- received{event(""), 0}
		close(in.events)
	}()
	in.frames, _ = framesOf(strings.NewReader(""), 0)
	wants(t, in.publish(ofCall(t)), connect.CodeInvalidArgument, "event 1 of this stream")
	if len(r.node.batches) != 0 {
		t.Errorf("batches %v", r.node.batches)
	}
}

func TestPatienceEndsWhereNothingIsStored(t *testing.T) {
	quickly(t, map[*time.Duration]time.Duration{&patience: 1200 * time.Millisecond})
	r := startRig(t)
	r.node.judge = func(map[string]any) map[string]any {
		return map[string]any{"code": "no_leader", "message": "No leader"}
	}
	in := intakeOf(r)
	batch, _, _ := in.gather(received{event("1"), 0})
	ctx, cancel := context.WithTimeout(ofCall(t), waitMax)
	defer cancel()
	wants(t, in.send(ctx, batch), connect.CodeUnavailable, "No leader")
	if len(r.node.batches) != 2 {
		t.Errorf("batches %v", r.node.batches)
	}
	cancel()
	patience = time.Minute
	if err := in.send(ctx, batch); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that has ended says %v", err)
	}
}

func TestCallsOfOneResponseAreNoStreamsAndEnd(t *testing.T) {
	quickly(t, map[*time.Duration]time.Duration{&unaryTimeout: 200 * time.Millisecond})
	r := startRig(t)
	r.streams.limit = 0
	r.node.refuse = func(_ http.ResponseWriter, request *http.Request) bool {
		_, _ = io.Copy(io.Discard, request.Body) // a server of HTTP/1.1 sees the end only then
		<-request.Context().Done()
		return true
	}
	client := r.mcp("ann")
	for name, call := range map[string]func() error{
		"IngestEvent": func() error { _, err := client.IngestEvent(t.Context(), ingest("1")); return err },
		"GetHealth": func() error {
			_, err := client.GetHealth(t.Context(), connect.NewRequest(&mcpv1.HealthCheckRequest{}))
			return err
		},
		"GetMetrics": func() error {
			_, err := client.GetMetrics(t.Context(), connect.NewRequest(&mcpv1.MetricsRequest{}))
			return err
		},
		"Check": func() error {
			_, err := r.health("ann").Check(t.Context(), connect.NewRequest(&healthv1.HealthCheckRequest{}))
			return err
		},
	} {
		if err := call(); connect.CodeOf(err) != connect.CodeDeadlineExceeded {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatAStreamOfEventsAsksFor(t *testing.T) {
	for _, each := range []struct {
		metadata http.Header
		asked    *mcpv1.StreamEventsRequest
		want     string
	}{
		{http.Header{}, &mcpv1.StreamEventsRequest{}, "after=1970-01-01T00:00:00Z"},
		{http.Header{}, &mcpv1.StreamEventsRequest{Follow: true, StartTimestamp: maxTimestamp}, "time=9999-12-31T23:59:59Z"},
		{http.Header{"Cairn-Space": {"a"}, "Cairn-Since": {"1-e5"}, "Cairn-Own": {"true"}},
			&mcpv1.StreamEventsRequest{EventTypes: []string{"x", "y"}}, "own=true&since=1-e5&space=a&types=x,y"},
		{http.Header{"Cairn-Since": {"1-e5"}},
			&mcpv1.StreamEventsRequest{EventTypes: []string{"a,b", `c\`}}, `since=1-e5&types=a\,b,c\\`},
		{http.Header{"Cairn-Own": {"yes"}, "Cairn-Since": {"1-e5"}}, &mcpv1.StreamEventsRequest{}, "since=1-e5"},
	} {
		query, err := readQuery(each.metadata, each.asked)
		if err != nil {
			t.Fatal(err)
		}
		setOwn(query, each.metadata)
		if got, _ := url.QueryUnescape(query.Encode()); got != each.want {
			t.Errorf("%v asks for %s, not %s", each.asked, got, each.want)
		}
	}
	for _, seconds := range []int64{-1, maxTimestamp + 1} {
		_, err := readQuery(http.Header{}, &mcpv1.StreamEventsRequest{StartTimestamp: seconds})
		wants(t, err, connect.CodeInvalidArgument, "start_timestamp is "+fmt.Sprint(seconds))
	}
}

func TestEventStreamBehindACursorWithOwnEvents(t *testing.T) {
	r := startRig(t)
	client := r.mcp("ann")
	for index := range 3 {
		if _, err := client.IngestEvent(t.Context(), ingest(fmt.Sprint(index))); err != nil {
			t.Fatal(err)
		}
	}
	stream := client.EventStream(t.Context())
	stream.RequestHeader().Set("Cairn-Since", cursorOf(1))
	stream.RequestHeader().Set("Cairn-Own", "true")
	_ = stream.Send(nil)
	var ids []string
	for len(ids) < 2 {
		got, err := stream.Receive()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, got.EventId)
	}
	if !slices.Equal(ids, []string{"1", "2"}) {
		t.Errorf("got %v", ids)
	}
	_ = stream.CloseRequest()
}

func TestAPanicOfATaskIsTheStatusOfItsCall(t *testing.T) {
	said := ""
	h := New(Options{Log: func(level, message string) { said = level + " " + message }})
	err := h.guarded(func() error { panic("lost") })
	wants(t, err, connect.CodeInternal, "the node's log says more")
	if !strings.HasPrefix(said, "error panic in a stream: lost\n") {
		t.Errorf("the log says %q", said)
	}
}
