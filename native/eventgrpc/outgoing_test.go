// Tests of events that go to another server of mcp.v1.MCPService: here a second node.

package eventgrpc

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
)

const outgoingEvent = `{"event_id":"1","event_type":"t","source":"s","timestamp":5,"data":"{}","metadata":{"a":"b"}}`

func TestAnEventToAnotherNode(t *testing.T) {
	r := startRig(t)
	way := r.as("ann").Transport
	send := func(text string, headers http.Header) Answer {
		t.Helper()
		answer, err := Ingest(t.Context(), way, r.server.URL, headers, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	headers := http.Header{
		"Cairn-Space": {"team-a"}, "Content-Type": {"application/json"}, "Connection": {"close"}, "Content-Length": {"7"},
		"Accept-Encoding": {"br"}, "Te": {"deflate"},
	}
	if got := send(outgoingEvent, headers); got != (Answer{Status: http.StatusOK, Text: "accepted stored"}) {
		t.Errorf("%+v", got)
	}
	if stored := r.node.events[0]; stored["cairnspace"] != "team-a" || stored["id"] != "1" || stored["a"] != "b" {
		t.Errorf("stored is %v", stored)
	}
	if got := send(`{"event_id":1}`, nil); got.Status != http.StatusBadRequest || r.node.count() != 1 {
		t.Errorf("no event: %+v", got)
	}
	if got := send(`{"event_id":"1"}`, nil); got.Status != http.StatusBadRequest ||
		got.Text != "invalid_argument: event_type is empty: give it" || got.RetryAfter != "" {
		t.Errorf("a wrong event: %+v", got)
	}
	r.node.refuse = func(writer http.ResponseWriter, _ *http.Request) bool {
		writer.Header().Set("Retry-After", "7")
		problemTo(writer, http.StatusServiceUnavailable, "no_leader", "No leader.", "")
		return true
	}
	if got := send(outgoingEvent, nil); got != (Answer{http.StatusServiceUnavailable, "unavailable: No leader.", "7"}) {
		t.Errorf("a node without a leader: %+v", got)
	}
}

func TestWhereNoServerOfGRPCAnswers(t *testing.T) {
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		writer.WriteHeader(http.StatusForbidden)
	}))
	web.Config.Protocols = bothProtocols()
	web.Start()
	r := startRig(t)
	way := r.as("ann").Transport
	if answer, err := Ingest(t.Context(), way, web.URL, nil, []byte(outgoingEvent)); err == nil {
		t.Errorf("a web server: %+v", answer)
	}
	web.Close()
	if answer, err := Ingest(t.Context(), way, web.URL, nil, []byte(outgoingEvent)); err == nil {
		t.Errorf("nobody: %+v", answer)
	}
}

func TestStatusesOfCodes(t *testing.T) {
	for code, want := range map[connect.Code]int{
		connect.CodeAlreadyExists: 200, connect.CodeInvalidArgument: 400, connect.CodeOutOfRange: 400,
		connect.CodeUnauthenticated: 401, connect.CodePermissionDenied: 403, connect.CodeNotFound: 404,
		connect.CodeUnimplemented: 501, connect.CodeResourceExhausted: 429, connect.CodeFailedPrecondition: 409,
		connect.CodeAborted: 409, connect.CodeUnavailable: 503, connect.CodeCanceled: 503,
		connect.CodeDeadlineExceeded: 504, connect.CodeInternal: 500, connect.CodeUnknown: 500, connect.CodeDataLoss: 500,
	} {
		if got := statusOf(code, MaxMessageBytes); got != want {
			t.Errorf("%v is %d, not %d", code, got, want)
		}
	}
	if got := statusOf(connect.CodeResourceExhausted, MaxMessageBytes+1); got != http.StatusRequestEntityTooLarge {
		t.Errorf("a large event that is refused is %d", got)
	}
}

func TestARequestIsACallByItsContentType(t *testing.T) {
	for head, want := range map[string]bool{
		"application/grpc": true, "Application/gRPC+proto; charset=x": true, "application/grpc+json": false, "text/plain": false,
	} {
		request := httptest.NewRequest(http.MethodPost, "/x", strings.NewReader(""))
		request.Header.Set("Content-Type", head)
		request.ProtoMajor = 2
		if IsCall(request) != want {
			t.Errorf("%s is a call: %v", head, !want)
		}
		request.Method = http.MethodGet
		if IsCall(request) {
			t.Errorf("GET with %s is a call", head)
		}
	}
}
