// Tests of pages that go out to a slow client.

package eventgrpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"connectrpc.com/connect"

	"cairn.internal/native/eventgrpc/gen/mcpv1"
)

func TestAClientThatIsCutOffWithinAPageMissesNothing(t *testing.T) {
	r := startRig(t)
	client := r.mcp("ann")
	for index := range 5 {
		if _, err := client.IngestEvent(t.Context(), ingest(fmt.Sprint(index))); err != nil {
			t.Fatal(err)
		}
	}
	// The third message counts as one that was taken too slowly.
	sent := 0
	out := mcpOut{r.handler, func(event *mcpv1.Event) error {
		if event == nil {
			return nil
		}
		if sent++; sent == 3 {
			r.handler.slowAfter.Store(-1)
		}
		return nil
	}}
	ctx := context.WithValue(t.Context(), callerKey{}, "ann")
	failed := wants(t, r.handler.page(ctx, http.Header{}, url.Values{"since": {cursorOf(0)}}, out), connect.CodeResourceExhausted, "too slowly")
	if since := failed.Meta().Get("Cairn-Since"); sent != 3 || since != cursorOf(3) {
		t.Errorf("after %d events: %s", sent, since)
	}
}

func TestPagesBeginWithOneHead(t *testing.T) {
	r := startRig(t)
	ctx := context.WithValue(t.Context(), callerKey{}, "ann")
	for _, count := range []int{0, 5} {
		for index := range count {
			if _, err := r.mcp("ann").IngestEvent(t.Context(), ingest(fmt.Sprint(index))); err != nil {
				t.Fatal(err)
			}
		}
		got := ""
		out := mcpOut{r.handler, func(event *mcpv1.Event) error {
			if event == nil {
				got += "-"
			} else {
				got += event.EventId
			}
			return nil
		}}
		err := r.handler.page(ctx, http.Header{}, url.Values{"since": {cursorOf(0)}}, out)
		if want := map[int]string{0: "-", 5: "-01234"}[count]; err != nil || got != want {
			t.Errorf("%d events: %q, %v", count, got, err)
		}
	}
	// A client that has gone gets no more.
	sent := 0
	gone := errors.New("gone")
	out := mcpOut{r.handler, func(event *mcpv1.Event) error {
		if sent++; sent == 2 {
			return gone
		}
		return nil
	}}
	if err := r.handler.page(ctx, http.Header{}, url.Values{"since": {cursorOf(0)}}, out); err != gone || sent != 2 {
		t.Errorf("%v after %d messages", err, sent)
	}
	if counts := r.handler.counters; counts.sent.Load() != 5 {
		t.Errorf("%d events count as sent", counts.sent.Load())
	}
}
