// Events that come in: one by a call, or many by a stream, which are stored in batches.

package eventgrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"cairn.internal/native/eventgrpc/gen/mcpv1"
)

const (
	batchEvents = 64
	batchBytes  = 256 << 10
	batchWait   = 5 * time.Millisecond
)

// A batch that the node cannot take now is sent again for so long.
var patience = time.Minute

// store stores one event.
func (h *Handler) store(ctx context.Context, metadata http.Header, event sent) (outcome, error) {
	h.counters.events.Add(1)
	stored, err := func() (outcome, error) {
		text, err := toCloudEvent(event)
		if err != nil {
			return outcome{}, err
		}
		results, err := h.backend.publish(ctx, metadata, []json.RawMessage{text})
		if err != nil {
			return outcome{}, err
		}
		if failed := results[0].Error; failed != nil {
			return outcome{}, failed.asError()
		}
		return results[0], nil
	}()
	if err != nil {
		h.counters.failed.Add(1)
	}
	return stored, err
}

// received is an event that waits to be stored, with the bytes that are counted for it.
type received struct {
	event *mcpv1.Event
	hold  int64
}

// intake stores the events of one stream, in their order.
type intake struct {
	handler  *Handler
	metadata http.Header
	frames   *frames
	events   chan received // without a buffer: what waits here is not read from the client
	stored   int64
}

// receive reads events until the client ends its side or ctx ends.
func (in *intake) receive(ctx context.Context, next func() (*mcpv1.Event, error)) error {
	defer close(in.events)
	for {
		event, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		hold := in.frames.claim()
		select {
		case in.events <- received{event, hold}:
		case <-ctx.Done():
			in.frames.release(hold)
			return nil
		}
	}
}

// publish stores what was received, batch by batch, until there is no more or one event cannot be stored.
func (in *intake) publish(ctx context.Context) error {
	for {
		first, more := <-in.events
		if !more {
			return nil
		}
		batch, hold, err := in.gather(first)
		if storing := in.send(ctx, batch); storing != nil {
			err = storing
		}
		in.frames.release(hold)
		if err != nil {
			in.handler.counters.failed.Add(1)
			return err
		}
	}
}

// gather collects a batch: what comes within a few ms. The error is that of the event after the batch.
func (in *intake) gather(first received) (batch []json.RawMessage, hold int64, err error) {
	timer := time.NewTimer(batchWait)
	defer timer.Stop()
	size := 0
	for event, more := first, true; more; {
		hold += event.hold
		in.handler.counters.events.Add(1)
		in.handler.counters.streamed.Add(1)
		text, wrong := toCloudEvent(event.event)
		if wrong != nil {
			return batch, hold, in.explain(wrong, event.event.GetEventId(), len(batch))
		}
		batch = append(batch, text)
		if size += len(text); len(batch) == batchEvents || size >= batchBytes {
			return batch, hold, nil
		}
		select {
		case event, more = <-in.events:
		case <-timer.C:
			return batch, hold, nil
		}
	}
	return batch, hold, nil
}

// send stores a batch. What the node cannot take now is sent again, from the first such event on, so that the order is
// kept; what was stored already is a duplicate then.
func (in *intake) send(ctx context.Context, batch []json.RawMessage) error {
	until := time.Now().Add(patience)
	for len(batch) > 0 {
		results, err := in.handler.backend.publish(ctx, in.metadata, batch)
		failed := 0
		if err == nil {
			for failed < len(results) && results[failed].Error == nil {
				failed++
			}
			in.stored += int64(failed)
			if failed == len(results) {
				return nil
			}
			if failed > 0 {
				until = time.Now().Add(patience)
			}
			err = results[failed].Error.asError()
			batch = batch[failed:]
		}
		seconds, again := retryAfter(err)
		wait := time.Duration(seconds) * time.Second
		if !again || time.Now().Add(wait).After(until) {
			var first struct {
				ID string `json:"id"`
			}
			_ = json.Unmarshal(batch[0], &first)
			return in.explain(err, first.ID, 0)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// explain adds to an error which event it is about. `before` are events of the same batch that come before it.
func (in *intake) explain(err error, id string, before int) error {
	known := (*connect.Error)(nil)
	if !errors.As(err, &known) {
		return err
	}
	told := connect.NewError(known.Code(), fmt.Errorf("event %d of this stream (event_id %.128q): %s",
		in.stored+int64(before)+1, id, known.Message()))
	for name, values := range known.Meta() {
		told.Meta()[name] = values
	}
	return told
}
