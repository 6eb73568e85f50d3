// Tests of the queue of outgoing lines: what is too long, a reader that is gone, the end.

package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestLinesAboveTheLimitAreNotSent(t *testing.T) {
	empty, _ := json.Marshal(MessageEvent{Event: "fatal"})
	event := func(length int) MessageEvent {
		return MessageEvent{Event: "fatal", Message: strings.Repeat("x", length-len(empty))}
	}
	box := newOutbox()
	for _, value := range []any{event(MaxLineBytes + 1), MessageEvent{Event: "no text"}, LogEvent{Level: "debug"}, make(chan int)} {
		box.send(value)
	}
	if len(box.lines) != 2 {
		t.Errorf("%d lines of 2 that are short", len(box.lines))
	}
	box = newOutbox()
	box.send(event(MaxLineBytes))
	if len(box.lines) != 1 || len(box.lines[0]) != MaxLineBytes+1 {
		t.Errorf("a line as long as is allowed: %d", len(box.lines))
	}
	// A call gets an answer all the same.
	answer, _ := json.Marshal(Reply{ID: 7, Result: ""})
	// In this order: the box is then that of the answer which is too long.
	for _, isWhole := range []bool{true, false} {
		length := MaxLineBytes
		if !isWhole {
			length++
		}
		box = newOutbox()
		box.send(Reply{ID: 7, Result: strings.Repeat("x", length-len(answer))})
		if len(box.lines) != 1 || (len(box.lines[0]) == MaxLineBytes+1) != isWhole {
			t.Fatalf("an answer of %d bytes: %d lines", length, len(box.lines))
		}
	}
	if text := string(box.lines[0]); !strings.Contains(text, "longer than the channel's line limit") || !strings.HasPrefix(text, `{"id":7,`) {
		t.Errorf("in place of one that is too long: %.200s", text)
	}
	box = newOutbox()
	box.send(Reply{ID: 8, Result: make(chan int)})
	if len(box.lines) != 1 || !strings.Contains(string(box.lines[0]), "cannot encode the reply") {
		t.Errorf("in place of one that is no JSON: %s", box.lines)
	}
}

func TestOutboxEndsWhenNobodyReads(t *testing.T) {
	box := newOutbox()
	for range maxQueuedLines {
		box.send(Reply{ID: 1, Result: 1})
	}
	if box.closed || len(box.lines) != maxQueuedLines {
		t.Errorf("%d lines, closed: %v", len(box.lines), box.closed)
	}
	box.send(Reply{ID: 2, Result: 1})
	if !box.closed || len(box.lines) != maxQueuedLines {
		t.Errorf("one more: %d lines, closed: %v", len(box.lines), box.closed)
	}
	// What is queued is written, and nothing that comes later.
	var written bytes.Buffer
	if err := box.drain(&written); err != nil || bytes.Count(written.Bytes(), []byte("\n")) != maxQueuedLines {
		t.Errorf("%d bytes were written: %v", written.Len(), err)
	}
	box.send(Reply{ID: 3, Result: 1})
	if len(box.lines) != 0 {
		t.Errorf("after the end: %s", box.lines)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestOutboxEndsWithItsWriter(t *testing.T) {
	box := newOutbox()
	box.send(Reply{ID: 1, Result: 1})
	if err := box.drain(brokenWriter{}); err == nil || !box.closed {
		t.Errorf("closed: %v, %v", box.closed, err)
	}
	// What ends without a line ends at once.
	box = newOutbox()
	box.close()
	if err := box.drain(brokenWriter{}); err != nil {
		t.Errorf("nothing was written: %v", err)
	}
}

func TestSecretsThatAreKept(t *testing.T) {
	guard := &redactor{}
	guard.add("abc", "wxyz")
	if got := guard.clean("abc wxyz"); got != "abc "+redacted {
		t.Errorf("got %q", got)
	}
	for number := range maxKnownSecrets - 1 {
		guard.add("secret-" + strings.Repeat("x", number))
	}
	if got := guard.clean("wxyz"); got != redacted {
		t.Errorf("with as many as are kept: %q", got)
	}
	if guard.add("newest"); guard.clean("wxyz newest") != "wxyz "+redacted {
		t.Errorf("the oldest is kept: %q", guard.clean("wxyz newest"))
	}
}
