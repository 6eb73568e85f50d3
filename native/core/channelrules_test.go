// Tests of the channel's bound of requests and of their deadlines.

package core

import (
	"context"
	"encoding/json"
	"testing"
	"time"
)

func TestCloseIsNotHeldUpByOtherRequests(t *testing.T) {
	gate := make(chan struct{})
	testMethod(t, "test-wait",
		func(context.Context, *session, json.RawMessage) (any, error) { <-gate; return empty{}, nil })
	r := openChannel(t, Options{})
	var waiting []chan json.RawMessage
	for range maxRequestsInFlight {
		waiting = append(waiting, r.send("test-wait", empty{}))
	}
	r.must("close", empty{}, nil)
	// One more waits for a place.
	further := r.send("status", empty{})
	select {
	case <-further:
		t.Error("more requests run at once than are allowed")
	case <-time.After(50 * time.Millisecond):
	}
	close(gate)
	for _, each := range append(waiting, further) {
		<-each
	}
	r.call("status", empty{}, nil)
}

func TestOnlyAStartMayTakeLonger(t *testing.T) {
	s := &session{ctx: t.Context(), out: newOutbox()}
	usual := methods["up"]
	t.Cleanup(func() { methods["up"] = usual })
	var left time.Duration
	run := func(ctx context.Context, _ *session, _ json.RawMessage) (any, error) {
		until, _ := ctx.Deadline()
		left = time.Until(until)
		return nil, context.DeadlineExceeded
	}
	methods["up"] = run
	testMethod(t, "test-other", run)
	for name, want := range map[string]time.Duration{"up": upDeadline, "test-other": requestDeadline} {
		reply := s.handle(Request{ID: 1, Method: name})
		if left > want || left < want-10*time.Second || reply.Error == nil || reply.Error.Code != CodeTimeout {
			t.Errorf("%s has %v: %v", name, left, reply.Error)
		}
	}
}
