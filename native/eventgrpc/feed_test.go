// Tests of how a stream of server-sent events is read.

package eventgrpc

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"connectrpc.com/connect"
)

func feedOf(t *testing.T, body io.Reader) *feed {
	ctx, cancel := context.WithCancelCause(t.Context())
	opened := newFeed(ctx, cancel, io.NopCloser(body))
	t.Cleanup(opened.close)
	return opened
}

func TestAFeedByItsFrames(t *testing.T) {
	feed := feedOf(t, strings.NewReader(": heartbeat\n\nretry: 2000\n\nid: 1\ndata: a\n\nid:2\r\ndata:b\r\ndata: c\r\n\r\n"+
		"id: 3\n\ndata: without a place\n\n: heartbeat\nid: 4\n\n"))
	for _, want := range []string{`"1" "a"`, `"2" "b\nc"`, `"3" ""`, `"" "without a place"`, `"4" ""`} {
		cursor, event, err := feed.next()
		if got := fmt.Sprintf("%q %q", cursor, event); got != want || err != nil {
			t.Fatalf("got %s, not %s: %v", got, want, err)
		}
	}
	_, _, err := feed.next()
	wants(t, err, connect.CodeUnavailable, "open it again from the last cairnposition")
}

func TestAFeedThatBreaks(t *testing.T) {
	for _, each := range []struct {
		body  io.Reader
		words string
	}{
		{strings.NewReader("data: a\ndata: b"), "open it again from the last cairnposition"},
		{io.MultiReader(strings.NewReader("id: 1\n"), broken{}), "it broke"},
	} {
		_, _, err := feedOf(t, each.body).next()
		wants(t, err, connect.CodeUnavailable, each.words)
	}
	cut := feedOf(t, broken{})
	cut.cancel(errSilent)
	if _, _, err := cut.next(); err != errSilent {
		t.Errorf("a feed that was cut says %v", err)
	}
}

type broken struct{}

// Read fails.
func (broken) Read([]byte) (int, error) { return 0, fmt.Errorf("it broke") }

func TestTheEndOfAFeedSaysItsReason(t *testing.T) {
	for body, code := range map[string]connect.Code{
		`{"reason":"slow_reader","message":"Too slow","hint":"For HTTP."}`:    connect.CodeResourceExhausted,
		`{"reason":"below_floor","message":"Too slow","oldest":"1f3a-e7"}`:    connect.CodeOutOfRange,
		`{"reason":"stopping","message":"Too slow"}`:                          connect.CodeUnavailable,
		`{"reason":"history_forked","message":"Too slow","oldest":"1f3a-e7"}`: connect.CodeOutOfRange,
	} {
		_, _, err := feedOf(t, strings.NewReader("event: end\ndata: "+body+"\n\n")).next()
		failed := wants(t, err, code, "Too slow Open the stream again with the last cairnposition")
		if code == connect.CodeOutOfRange && failed.Meta().Get("Cairn-Oldest") != "1f3a-e7" {
			t.Errorf("%s: %v", body, failed.Meta())
		}
	}
	_, _, err := feedOf(t, strings.NewReader("event: end\ndata: ?\n\n")).next()
	wants(t, err, connect.CodeUnavailable, "This node ended the stream")
}

func TestAnEventOfAFeedIsBounded(t *testing.T) {
	line := "data: " + strings.Repeat("x", 1<<20) + "\n"
	for name, body := range map[string]string{
		"one line":   "data: " + strings.Repeat("x", maxFrameBytes+1),
		"many lines": strings.Repeat(line, 17),
	} {
		_, _, err := feedOf(t, strings.NewReader(body)).next()
		if !strings.Contains(fmt.Sprint(err), "more than 16777216 bytes") {
			t.Errorf("%s: %v", name, err)
		}
	}
	large := feedOf(t, strings.NewReader(line+"\ndata: small\n\n"))
	for range 2 {
		if _, _, err := large.next(); err != nil {
			t.Fatal(err)
		}
	}
	if cap(large.data) > keptFrameBytes || cap(large.line) > keptFrameBytes {
		t.Errorf("%d and %d bytes are kept for the next event", cap(large.data), cap(large.line))
	}
}
