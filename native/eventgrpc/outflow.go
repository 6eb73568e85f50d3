// Events that go out: a feed of the node to one client. A client that takes too long over one message delays only its
// own stream, and receives why that ends.

package eventgrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"time"

	"connectrpc.com/connect"
)

// A client that takes longer for one message is slow. The node cuts the stream a little later, which says no reason.
const slowAfter = 20 * time.Second

// pageEvents is how many events of a list are read at once.
const pageEvents = 200

// eventsOut takes what goes out.
type eventsOut interface {
	// open sends the head of the response, so that a client knows that it is served.
	open() error
	// send takes one event with its cursor.
	send(cursor string, text []byte) error
	// passed takes the cursor up to which there was nothing for this client.
	passed(cursor string)
}

// relay opens a feed and forwards it.
func (h *Handler) relay(ctx context.Context, metadata http.Header, query url.Values, out eventsOut) error {
	feed, err := h.backend.follow(ctx, metadata, query)
	if err != nil {
		return err
	}
	defer feed.close()
	return h.forward(feed, out)
}

// forward sends the events of a feed until one of both sides ends. It never returns nil.
func (h *Handler) forward(feed *feed, out eventsOut) error {
	if err := out.open(); err != nil {
		return err
	}
	for {
		cursor, event, err := feed.next()
		switch {
		case err != nil:
		case len(event) == 0:
			out.passed(cursor)
		default:
			err = out.send(cursor, event)
		}
		if err != nil {
			return err
		}
	}
}

// page sends what the node keeps now, page by page.
func (h *Handler) page(ctx context.Context, metadata http.Header, query url.Values, out eventsOut) error {
	query.Set("limit", fmt.Sprint(pageEvents))
	for opened := false; ; {
		response, err := h.backend.send(ctx, metadata, http.MethodGet, "/events", query, "", nil)
		if err != nil {
			return err
		}
		var list struct {
			Events []json.RawMessage `json:"events"`
			Cursor string            `json:"cursor"`
			More   bool              `json:"more"`
		}
		err = readJSON(response, &list)
		response.Body.Close()
		if err == nil && !opened {
			opened, err = true, out.open()
		}
		for _, event := range list.Events {
			if err == nil {
				err = out.send(positionOf(event), event)
			}
		}
		if err != nil || !list.More {
			return err
		}
		query.Del("after")
		query.Set("since", list.Cursor)
	}
}

// positionOf returns the cursor of an event: a client that is cut off within a page goes on behind what it has.
func positionOf(event json.RawMessage) string {
	var shown struct {
		Position string `json:"cairnposition"`
	}
	_ = json.Unmarshal(event, &shown)
	return shown.Position
}

// timed runs the write of the message of one event. It fails where that took too long.
func (h *Handler) timed(cursor string, write func() error) error {
	began := time.Now()
	if err := write(); err != nil {
		return err
	}
	h.counters.sent.Add(1)
	if time.Since(began) <= time.Duration(h.slowAfter.Load()) {
		return nil
	}
	failed := connect.NewError(connect.CodeResourceExhausted, errors.New(
		"this client took its messages too slowly: open the stream again with the metadata cairn-since"))
	failed.Meta().Set("Cairn-Code", "slow_reader")
	failed.Meta().Set("Cairn-Since", cursor)
	return failed
}

// describe returns what a panic was, with its stack.
func describe(cause any) string { return fmt.Sprintf("%v\n%s", cause, debug.Stack()) }
