// Deadlines of bodies and answers: a caller that sends or takes too slowly is cut off, so that it cannot hold memory
// and connections for as long as it likes. Only the time for which this side waits for the caller counts.

package core

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// pace is how slow a caller may be: grace, and a second for each perSecond bytes.
type pace struct {
	grace     time.Duration
	perSecond int64
}

var (
	// A body of 8 MiB may take about eight minutes, on the slowest link that is of use.
	bodyPace = pace{grace: 10 * time.Second, perSecond: 16 << 10}
	// As of a stream in TypeScript whose client does not read.
	answerPace = pace{grace: 30 * time.Second, perSecond: 16 << 10}
)

// waits measures how long one side of a request was waited for.
type waits struct {
	pace   pace
	moved  int64
	waited time.Duration
}

// deadline returns when a wait that begins now has to end.
func (w *waits) deadline(now time.Time) time.Time {
	earned := time.Duration(w.moved / w.pace.perSecond * int64(time.Second))
	return now.Add(w.pace.grace + earned - w.waited)
}

// timedBody sets a read deadline for each read of a body, and none after its end.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	waits   waits
	mu      sync.Mutex // held while it is read: also by a transport that was left behind
	ended   atomic.Bool
}

// Read reads from the body; it fails with a timeout where the caller sends too slowly.
func (b *timedBody) Read(into []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	began := time.Now()
	_ = b.control.SetReadDeadline(b.waits.deadline(began))
	// Looked at after the deadline is set: end sets its own after it says so.
	if b.ended.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	count, err := b.ReadCloser.Read(into)
	b.waits.waited += time.Since(began)
	b.waits.moved += int64(count)
	if err == io.EOF {
		// net/http goes on reading to notice that the caller disconnects.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return count, err
}

// end ends a read that is under way and all later ones. What net/http still reads of the body, before it closes the
// connection, has to come within the grace. It would lift that deadline for a read of ours.
func (b *timedBody) end() {
	b.ended.Store(true)
	_ = b.control.SetReadDeadline(time.Unix(1, 0))
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.control.SetReadDeadline(time.Now().Add(b.waits.pace.grace))
}

// timedWriter sets a write deadline for each write of an answer, and none between writes. Each write of an event stream
// begins anew.
type timedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	waits   waits
}

func newTimedWriter(writer http.ResponseWriter) *timedWriter {
	return &timedWriter{ResponseWriter: writer, control: http.NewResponseController(writer), waits: waits{pace: answerPace}}
}

// Write writes a part of the answer.
func (w *timedWriter) Write(part []byte) (count int, err error) {
	w.timed(func() {
		count, err = w.ResponseWriter.Write(part)
		w.waits.moved += int64(count)
	})
	return count, err
}

// FlushError sends what was written.
func (w *timedWriter) FlushError() (err error) {
	w.timed(func() { err = w.control.Flush() })
	return err
}

// Unwrap returns the writer below, for http.ResponseController.
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *timedWriter) timed(step func()) {
	if isStream(w.Header().Get("Content-Type")) {
		w.waits = waits{pace: w.waits.pace}
	}
	began := time.Now()
	_ = w.control.SetWriteDeadline(w.waits.deadline(began))
	step()
	w.waits.waited += time.Since(began)
	// Under h2 a deadline ends the stream when it comes, whether something is being written or not.
	_ = w.control.SetWriteDeadline(time.Time{})
}

func isStream(mediaType string) bool {
	return strings.HasPrefix(mediaType, "text/event-stream") || strings.HasPrefix(mediaType, "application/grpc")
}

// finish sets the deadline for what net/http sends after the handler.
func (w *timedWriter) finish() {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.waits.pace.grace))
}
