// What belongs to one call: its body, its response, and the counts of all calls.

package eventgrpc

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

type callKey struct{}

// call is one call that is served.
type call struct {
	frames *frames
	// The node wants this caller to keep no connection.
	closes atomic.Bool
}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// responder is the response of a call. It says that the connection ends where the node wants that.
type responder struct {
	http.ResponseWriter
	closes *atomic.Bool
	begun  bool
}

// WriteHeader sends the head of the response.
func (r *responder) WriteHeader(status int) {
	if r.begun = true; r.closes.Load() {
		r.Header().Set("Connection", "close")
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body, and the head before it.
func (r *responder) Write(part []byte) (int, error) {
	if !r.begun {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(part)
}

// Flush sends what was written.
func (r *responder) Flush() {
	if !r.begun {
		r.WriteHeader(http.StatusOK)
	}
	_ = http.NewResponseController(r.ResponseWriter).Flush()
}

// Unwrap returns the writer below, for http.ResponseController.
func (r *responder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// counters are counts since the start.
type counters struct {
	began time.Time
	// Events that came in, how many of these in streams, and how many of them were refused.
	events, streamed, failed atomic.Int64
	// Events that were sent to streams.
	sent atomic.Int64
	open atomic.Int64
}

func newCounters() *counters { return &counters{began: time.Now()} }

func (c *counters) uptimeMs() int64 { return time.Since(c.began).Milliseconds() }
