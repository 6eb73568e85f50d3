// Tests of pages that go out to a slow client.

package eventgrpc

import (
	"context"
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
