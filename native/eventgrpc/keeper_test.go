// Tests of the position of a source of Argo: what is kept, when, and what a refusal does.

package eventgrpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"cairn.internal/native/eventgrpc/gen/genericv1"
)

func TestMarksOfAStreamThatNeverRestsAreKept(t *testing.T) {
	// An event comes in every moment, so the newest mark is always young; what is behind it must settle anyway.
	now := time.Now()
	busy := &keeper{marks: []mark{{"1", now.Add(-2 * keepEvery)}, {"2", now}}}
	busy.sent("3")
	if len(busy.marks) != 3 {
		t.Errorf("marks %v", busy.marks)
	}
	young := &keeper{marks: []mark{{"1", now}}}
	if got := young.settled(now.Add(settleAfter - time.Millisecond)); got != "" || len(young.marks) != 1 {
		t.Errorf("%q settled too early", got)
	}
}

// saving is a keeper that runs, with what it saves and what that responds.
type saving struct {
	*keeper
	t       *testing.T
	saved   chan string
	answers chan error
	ended   chan error
}

func startKeeper(t *testing.T, ctx context.Context) *saving {
	t.Helper()
	quickly(t, map[*time.Duration]time.Duration{&settleAfter: 0, &keepEvery: time.Millisecond})
	s := &saving{
		keeper: &keeper{kept: "0"}, t: t,
		saved: make(chan string), answers: make(chan error), ended: make(chan error, 1),
	}
	s.save = func(cursor string) error {
		s.saved <- cursor
		return <-s.answers
	}
	go func() { s.ended <- s.run(ctx) }()
	return s
}

// saves waits for a position, and responds to it.
func (s *saving) saves(cursor string, answer error) {
	s.t.Helper()
	select {
	case got := <-s.saved:
		if got != cursor {
			s.t.Errorf("%q is kept, not %q", got, cursor)
		}
		s.answers <- answer
	case err := <-s.ended:
		s.t.Fatalf("it ended before %q: %v", cursor, err)
	case <-time.After(waitMax):
		s.t.Fatalf("%q was not kept", cursor)
	}
}

// rests looks for positions that are kept without need.
func (s *saving) rests() {
	s.t.Helper()
	select {
	case got := <-s.saved:
		s.t.Errorf("%q is kept without need", got)
		s.answers <- nil
	case <-time.After(30 * time.Millisecond):
	}
}

func TestAPositionIsKeptOnceAndTriedUntilItIs(t *testing.T) {
	s := startKeeper(t, t.Context())
	s.rests()
	s.sent("0")
	s.rests() // it is where it was
	s.sent("1")
	s.saves("1", (&problem{Status: 503}).asError())
	s.saves("1", nil)
	s.rests()
	s.sent("2")
	s.saves("2", nil)
	s.sent("3")
	s.saves("3", (&problem{Status: 403, Detail: "No right."}).asError())
	wants(t, <-s.ended, connect.CodePermissionDenied, "No right.")
}

func TestAKeeperEndsWithItsCall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := startKeeper(t, ctx)
	s.sent("1")
	<-s.saved
	cancel()
	s.answers <- errors.New("cut off")
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

func TestOnlyWhatWasWrittenCountsAsSent(t *testing.T) {
	out := argoOut{handler: New(Options{}), name: "n", keeper: &keeper{}}
	out.write = func(*genericv1.Event) error { return errors.New("gone") }
	if err := out.send("1", nil); err == nil || len(out.keeper.marks) != 0 {
		t.Errorf("%v, marks %v", err, out.keeper.marks)
	}
	out.write = func(*genericv1.Event) error { return nil }
	if err := out.send("1", nil); err != nil || len(out.keeper.marks) != 1 {
		t.Errorf("%v, marks %v", err, out.keeper.marks)
	}
}

func TestASourceWhosePositionCannotBeKeptEnds(t *testing.T) {
	quickly(t, map[*time.Duration]time.Duration{&settleAfter: 0, &keepEvery: time.Millisecond})
	r := startRig(t)
	var asked atomic.Int64
	r.node.refuse = func(writer http.ResponseWriter, request *http.Request) bool {
		if !strings.HasSuffix(request.URL.Path, "/event_position") || asked.Add(1) == 1 {
			return false
		}
		problemTo(writer, http.StatusForbidden, "forbidden", "No right to write.", "")
		return true
	}
	stream, _ := openSource(t, r, "")
	if _, err := r.mcp("ann").IngestEvent(t.Context(), ingest("1")); err != nil {
		t.Fatal(err)
	}
	for stream.Receive() {
	}
	wants(t, stream.Err(), connect.CodePermissionDenied, "No right to write.")
	r.node.mu.Lock()
	defer r.node.mu.Unlock()
	if _, known := r.node.positions["cairn"]; !known {
		t.Errorf("a source without a config has no reader of its name: %v", r.node.positions)
	}
}

func TestASourceThatMayNotReadLeavesItsPosition(t *testing.T) {
	r := startRig(t)
	asked := map[string]int{}
	r.node.refuse = func(writer http.ResponseWriter, request *http.Request) bool {
		r.node.mu.Lock()
		asked[request.URL.Path]++
		r.node.mu.Unlock()
		if request.URL.Path != "/events/stream" {
			return false
		}
		problemTo(writer, http.StatusForbidden, "forbidden", "No right to read.", "")
		return true
	}
	stream, _ := openSource(t, r, "prod")
	if stream.Receive() {
		t.Error("an event")
	}
	wants(t, stream.Err(), connect.CodePermissionDenied, "No right to read.")
	r.node.mu.Lock()
	defer r.node.mu.Unlock()
	if fmt.Sprint(asked) != "map[/events/stream:1 /operations/event_position:1]" {
		t.Errorf("asked for %v", asked)
	}
}
