// Tests of the deadlines of bodies by their rules: until when a read may wait, and what the end of a body ends.

package core

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// deadlineWriter records the deadlines of reads.
type deadlineWriter struct {
	http.ResponseWriter
	reads []time.Time
}

func (d *deadlineWriter) SetReadDeadline(at time.Time) error {
	d.reads = append(d.reads, at)
	return nil
}

func TestDeadlinesOfABody(t *testing.T) {
	writer := &deadlineWriter{ResponseWriter: httptest.NewRecorder()}
	text := strings.NewReader("whole")
	body := &timedBody{
		ReadCloser: io.NopCloser(text), control: http.NewResponseController(writer),
		waits: waits{pace: pace{grace: time.Hour, perSecond: 1 << 20}},
	}
	part := make([]byte, 5)
	if count, err := body.Read(part); count != 5 || err != nil || len(writer.reads) != 1 ||
		time.Until(writer.reads[0]) < 30*time.Minute {
		t.Fatalf("%d bytes, %v, until %v", count, err, writer.reads)
	}
	// net/http goes on reading after the end, for as long as the answer takes.
	if _, err := body.Read(part); err != io.EOF || len(writer.reads) != 3 || !writer.reads[2].IsZero() {
		t.Errorf("at the end: %v, until %v", err, writer.reads)
	}
	text.Reset("more")
	writer.reads = nil
	body.end()
	if len(writer.reads) != 2 || time.Until(writer.reads[0]) > 0 || time.Until(writer.reads[1]) < 30*time.Minute {
		t.Errorf("what ends it: %v", writer.reads)
	}
	if count, err := body.Read(part); count != 0 || !errors.Is(err, http.ErrBodyReadAfterClose) || text.Len() != 4 {
		t.Errorf("after it is over: %d bytes, %v", count, err)
	}
	for mediaType, want := range map[string]bool{"text/event-stream": true, "text/event-stream; charset=utf-8": true,
		"application/grpc": true, "application/grpc+proto": true, "text/plain": false, "": false} {
		if isStream(mediaType) != want {
			t.Errorf("%q is a stream: %v", mediaType, !want)
		}
	}
}
