// Tests of the reverse proxy by itself: what reaches the target, what a failure says, and the rest of a body.

package core

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// forwardingNode is a node without a tailnet; what it logs goes to the returned function's result.
func forwardingNode() (node *Node, logged func() []string) {
	var lines []string
	node = &Node{conns: newConnections(), secrets: &redactor{}, emit: func(event any) {
		lines = append(lines, event.(LogEvent).Message)
	}}
	return node, func() []string { return lines }
}

// identified adds to a context what ingress knows of a request.
func identified(ctx context.Context) context.Context {
	check := &callerCheck{caller: Caller{ID: "n1"}, header: "{}"}
	return context.WithValue(context.WithValue(ctx, callerCheckKey{}, check), schemeKey{}, "http")
}

func TestTheTargetGetsNoEncodingAndNoUpgradeOfOurs(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "target.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan http.Header, 1)
	target := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		seen <- request.Header
	})}
	defer target.Close()
	go target.Serve(listener)
	node, _ := forwardingNode()
	forward := newForward(node, socket, 1000)
	front := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		forward.ServeHTTP(writer, request.WithContext(identified(request.Context())))
	}))
	defer front.Close()
	request, _ := http.NewRequest(http.MethodGet, front.URL, nil)
	request.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"h2c"}}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	header := <-seen
	for _, name := range []string{"Accept-Encoding", "Upgrade", "Connection"} {
		if value := header.Get(name); value != "" {
			t.Errorf("the target got %s: %s", name, value)
		}
	}
}

func TestWhatAFailedForwardSays(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	unreached := &net.OpError{Op: "dial", Err: errors.New("refused")}
	for name, row := range map[string]struct {
		ctx        context.Context
		body       *boundedBody
		err        error
		code       string
		status     int
		outcome    string
		retryable  bool
		retryAfter string
		closes     bool
		logged     int
	}{
		"answers held": {t.Context(), nil, errAnswersHeld, "unavailable", 503, "unknown", true, "5", false, 0},
		"slow":         {t.Context(), &boundedBody{late: true}, io.ErrUnexpectedEOF, "body_too_slow", 408, "not_written", true, "", true, 0},
		"malformed":    {t.Context(), &boundedBody{broken: true}, io.ErrUnexpectedEOF, "bad_request", 400, "", false, "", true, 0},
		"too large":    {t.Context(), &boundedBody{over: true}, io.ErrUnexpectedEOF, "body_too_large", 413, "", false, "", true, 0},
		"no target":    {t.Context(), &boundedBody{}, unreached, "target_unreachable", 502, "not_written", true, "1", false, 1},
		"no answer":    {t.Context(), nil, io.ErrUnexpectedEOF, "target_unreachable", 502, "unknown", true, "1", false, 1},
		"caller gone":  {gone, &boundedBody{broken: true}, context.Canceled, "", 200, "", false, "", false, 0},
	} {
		node, logged := forwardingNode()
		ctx := row.ctx
		if row.body != nil {
			ctx = context.WithValue(ctx, bodyKey{}, row.body)
		}
		request := httptest.NewRequest(http.MethodPut, "/x", nil).WithContext(ctx)
		answer := httptest.NewRecorder()
		node.forwardFailed(answer, request, row.err, 1000)
		var said Problem
		_ = json.Unmarshal(answer.Body.Bytes(), &said)
		if answer.Code != row.status || said.Code != row.code || said.Outcome != row.outcome || said.Retryable != row.retryable {
			t.Errorf("%s: %d %+v", name, answer.Code, said)
		}
		header := answer.Header()
		if header.Get("Retry-After") != row.retryAfter || (header.Get("Connection") == "close") != row.closes {
			t.Errorf("%s: %v", name, header)
		}
		if lines := logged(); len(lines) != row.logged {
			t.Errorf("%s: %q", name, lines)
		}
	}
}

// unreadBody notes whether it was read, and fails.
type unreadBody struct{ isRead bool }

func (b *unreadBody) Read([]byte) (int, error) {
	b.isRead = true
	return 0, io.ErrUnexpectedEOF
}

func (b *unreadBody) Close() error { return nil }

func TestTheRestOfABodyIsReadToKeepAConnectionAlone(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, row := range map[string]struct {
		ctx            context.Context
		major          int
		closes, isRead bool
	}{
		"a connection that is kept": {t.Context(), 1, false, true},
		"one that is closed":        {t.Context(), 1, true, false},
		"one whose caller is gone":  {gone, 1, false, false},
		"a stream of h2":            {t.Context(), 2, false, false},
	} {
		request := httptest.NewRequest(http.MethodPut, "/x", nil).WithContext(row.ctx)
		request.ProtoMajor = row.major
		writer := httptest.NewRecorder()
		if row.closes {
			writer.Header().Set("Connection", "close")
		}
		rest := &unreadBody{}
		timed := &timedBody{ReadCloser: rest, control: http.NewResponseController(writer), waits: waits{pace: bodyPace}}
		endBody(writer, request, timed, &boundedBody{ReadCloser: timed, left: 10})
		if rest.isRead != row.isRead {
			t.Errorf("%s: read %v", name, rest.isRead)
		}
	}
}

func TestABodyThatCameWholeIsNotMalformed(t *testing.T) {
	body := &boundedBody{ReadCloser: io.NopCloser(strings.NewReader("hello")), left: 5}
	if text, err := io.ReadAll(body); string(text) != "hello" || err != nil {
		t.Fatalf("read %q (%v)", text, err)
	}
	if body.malformed() || body.slow() || body.exceeded() || body.unread() != 0 {
		t.Errorf("%+v after its end", body)
	}
}
