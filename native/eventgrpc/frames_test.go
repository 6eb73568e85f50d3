// Tests of the body of a call by its frames, without a server: what is counted, when it is given up, and what a broken
// body says.

package eventgrpc

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
)

func framesOf(body io.Reader, limit int64) (*frames, *testBudget) {
	budget := &testBudget{limit: limit, held: map[string]int64{}}
	control := http.NewResponseController(httptest.NewRecorder())
	return newFrames(io.NopCloser(body), control, "ann", budget), budget
}

func TestBytesOfAMessageAreCountedUntilTheyAreClaimed(t *testing.T) {
	message := frame([]byte("hello"))
	// One byte at a time, so that no frame is read at once.
	body, budget := framesOf(&byByte{append(message, message...)}, 100)
	got, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(got, append(message, message...)) {
		t.Fatalf("read %q: %v", got, err)
	}
	// The first message gave place to the second one.
	if budget.sum() != 5 {
		t.Errorf("%d bytes are counted", budget.sum())
	}
	if body.timer.Stop() {
		t.Error("a message that has come is still waited for")
	}
	if held := body.claim(); held != 5 || body.claim() != 0 {
		t.Errorf("%d bytes were claimed", held)
	}
	body.finish()
	if budget.sum() != 5 {
		t.Error("what was claimed was given back by another")
	}
}

type byByte struct{ rest []byte }

// Read gives one byte.
func (b *byByte) Read(into []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	into[0], b.rest = b.rest[0], b.rest[1:]
	return 1, nil
}

func TestHowMuchAMessageHolds(t *testing.T) {
	for _, each := range []struct {
		size       int64
		compressed bool
		held       int64
	}{{7, false, 7}, {7, true, MaxMessageBytes}, {MaxMessageBytes, false, MaxMessageBytes}, {0, false, 0}} {
		body, budget := framesOf(bytes.NewReader(nil), MaxMessageBytes)
		if err := body.begin(each.size, each.compressed); err != nil || budget.sum() != each.held {
			t.Errorf("%+v: %d bytes are counted: %v", each, budget.sum(), err)
		}
		if isTimed := body.timer != nil; isTimed != (each.size > 0) {
			t.Errorf("%+v has a deadline: %v", each, isTimed)
		}
		body.finish()
		if budget.sum() != 0 {
			t.Errorf("%+v: %d bytes are left", each, budget.sum())
		}
	}
}

func TestAMessageThatIsTooLargeIsReadNoFurther(t *testing.T) {
	below := bytes.NewReader([]byte{0, 0, 0x10, 0, 1, 'x', 'y'})
	body, budget := framesOf(&byByte{[]byte{0, 0, 0x10, 0, 1}}, 2*MaxMessageBytes)
	body.ReadCloser = io.NopCloser(below)
	for range 2 {
		count, err := body.Read(make([]byte, 5))
		wants(t, err, connect.CodeResourceExhausted, "a message has 1048577 bytes, 1048576 are allowed")
		if count != 0 {
			t.Errorf("%d bytes were read", count)
		}
	}
	if below.Len() != 2 || budget.sum() != 0 {
		t.Errorf("%d bytes are left, %d are counted", below.Len(), budget.sum())
	}
}

func TestWaitingForRoomEndsWithTheCall(t *testing.T) {
	body, budget := framesOf(bytes.NewReader(nil), 5)
	budget.Take("ann", 5)
	body.end()
	err := body.begin(1, false)
	wants(t, err, connect.CodeResourceExhausted, "too many bytes")
	quickly(t, map[*time.Duration]time.Duration{&messageGrace: time.Millisecond})
	body, budget = framesOf(bytes.NewReader(nil), 5)
	budget.Take("ann", 5)
	wants(t, body.begin(1, false), connect.CodeResourceExhausted, "too many bytes")
	body.finish()
	if budget.sum() != 5 {
		t.Errorf("%d bytes are counted", budget.sum())
	}
}

func TestABrokenBodySaysWhy(t *testing.T) {
	cause := errors.New("the connection broke")
	for _, late := range []bool{false, true} {
		body, _ := framesOf(io.MultiReader(bytes.NewReader([]byte{0, 0}), failing{cause}), 100)
		if late {
			body.giveUp()
		}
		_, err := io.ReadAll(body)
		if late {
			wants(t, err, connect.CodeDeadlineExceeded, "at least 16384 bytes a second")
		} else if err != cause {
			t.Errorf("a body that broke says %v", err)
		}
	}
	// What is whole is whole, however late.
	body, _ := framesOf(bytes.NewReader(frame(nil)), 100)
	body.giveUp()
	if _, err := io.ReadAll(body); err != nil {
		t.Error(err)
	}
}

type failing struct{ error }

// Read fails.
func (f failing) Read([]byte) (int, error) { return 0, f.error }
