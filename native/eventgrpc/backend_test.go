// Tests of what the responses of the node become: problems, results, readiness, and whether to send again.

package eventgrpc

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
)

// answering is a backend whose node gives one response to all requests.
func answering(status int, header http.Header, body string) *backend {
	return &backend{client: &http.Client{Transport: roundTrip(func(request *http.Request) (*http.Response, error) {
		if header == nil {
			header = http.Header{}
		}
		return &http.Response{
			Request: request, Status: http.StatusText(status), StatusCode: status, Header: header,
			Body: io.NopCloser(strings.NewReader(body)),
		}, nil
	})}}
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip answers one request.
func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// ofCall returns the context of a call.
func ofCall(t *testing.T) context.Context {
	return context.WithValue(t.Context(), callKey{}, &call{})
}

func TestProblemsOfOneEventHaveTheStatusOfTheirCode(t *testing.T) {
	for code, want := range map[string]connect.Code{
		"invalid_input": connect.CodeInvalidArgument, "forbidden": connect.CodePermissionDenied,
		"rights_changed": connect.CodePermissionDenied, "below_floor": connect.CodeOutOfRange,
		"history_forked": connect.CodeOutOfRange, "too_large": connect.CodeResourceExhausted,
		"rate_limited": connect.CodeResourceExhausted, "slow_reader": connect.CodeResourceExhausted,
		"quota_exceeded": connect.CodeResourceExhausted, "storage_full": connect.CodeResourceExhausted,
		"internal": connect.CodeInternal, "no_leader": connect.CodeUnavailable, "": connect.CodeUnavailable,
	} {
		failed := (&problem{Code: code, Message: "why"}).asError()
		if failed.Code() != want || failed.Message() != "why" || failed.Meta().Get("Cairn-Code") != code {
			t.Errorf("%s is %v with %v", code, failed, failed.Meta())
		}
		// What is not known is not said.
		for _, name := range []string{"Cairn-Field", "Cairn-Oldest", "Retry-After"} {
			if values, said := failed.Meta()[name]; said {
				t.Errorf("%s has %s %v", code, name, values)
			}
		}
	}
	full := (&problem{Code: "invalid_input", Detail: "d", Hint: "h", Field: "f", Oldest: "o", RetryAfter: 3}).asError()
	if meta := full.Meta(); full.Message() != "d h" || meta.Get("Cairn-Field") != "f" || meta.Get("Cairn-Oldest") != "o" ||
		meta.Get("Retry-After") != "3" {
		t.Errorf("%v with %v", full, meta)
	}
}

func TestARefusalWithoutAProblemSaysItsStatus(t *testing.T) {
	for _, body := range []string{"<h1>no</h1>", `{"code":"x"}`, ""} {
		_, err := answering(http.StatusBadGateway, nil, body).publish(ofCall(t), nil, []json.RawMessage{[]byte("1")})
		wants(t, err, connect.CodeUnavailable, "this node responded with Bad Gateway")
	}
}

func TestEveryEventOfABatchHasAResult(t *testing.T) {
	for _, body := range []string{`{"results":[]}`, `{"results":[{"id":"1"},{"id":"2"}]}`} {
		_, err := answering(http.StatusOK, nil, body).publish(ofCall(t), nil, []json.RawMessage{[]byte("1")})
		wants(t, err, connect.CodeInternal, "results for 1 events")
	}
	_, err := answering(http.StatusOK, nil, `{"results":`).publish(ofCall(t), nil, []json.RawMessage{[]byte("1")})
	wants(t, err, connect.CodeUnavailable, "cannot be read")
}

func TestOnlyKnownMetadataGoOn(t *testing.T) {
	var got http.Header
	asked := &backend{client: &http.Client{Transport: roundTrip(func(request *http.Request) (*http.Response, error) {
		got = request.Header
		return nil, errors.New("refused")
	})}}
	metadata := http.Header{
		"Cairn-Agent": {"a"}, "Cairn-Client": {"c"}, "Cairn-Min-Position": {"p"}, "Traceparent": {"t"}, "Tracestate": {"s"},
		"Authorization": {"Bearer x"}, "Cookie": {"x"}, "Cairn-Internal-Caller": {"root"}, "X-Forwarded-For": {"100.64.0.1"},
		"Tailscale-User-Login": {"root"}, "Content-Type": {"application/grpc"},
	}
	_, err := asked.ready(ofCall(t), metadata)
	wants(t, err, connect.CodeUnavailable, "try again in a second")
	want := http.Header{
		"Cairn-Agent": {"a"}, "Cairn-Client": {"c"}, "Cairn-Min-Position": {"p"}, "Traceparent": {"t"}, "Tracestate": {"s"},
	}
	if asText(got) != asText(want) {
		t.Errorf("the node got %v", got)
	}
	ctx, cancel := context.WithCancelCause(ofCall(t))
	cause := errors.New("the client has gone")
	cancel(cause)
	if _, err := asked.ready(ctx, metadata); err != cause {
		t.Errorf("a call that has ended says %v", err)
	}
}

func TestReadiness(t *testing.T) {
	for body, want := range map[string]readiness{
		`{"status":"ok","ready":true,"version":"1.2.3"}`:          {Status: "ok", Ready: true, Version: "1.2.3"},
		`{"status":"joining","ready":false,"version":"1.2.3"}`:    {Status: "joining", Version: "1.2.3"},
		`{"status":503,"code":"unavailable","detail":"It stops"}`: {Status: "unavailable"},
		`{}`: {Status: "unavailable"},
	} {
		got, err := answering(http.StatusServiceUnavailable, nil, body).ready(ofCall(t), nil)
		if err != nil || got != want {
			t.Errorf("%s is %+v, %v", body, got, err)
		}
	}
	problem := `{"status":500,"code":"internal","detail":"It broke"}`
	_, err := answering(http.StatusInternalServerError, nil, problem).ready(ofCall(t), nil)
	wants(t, err, connect.CodeInternal, "It broke")
	_, err = answering(http.StatusOK, nil, "<h1>").ready(ofCall(t), nil)
	wants(t, err, connect.CodeUnavailable, "cannot be read")
}

func TestWhatIsSentAgain(t *testing.T) {
	for _, each := range []struct {
		err     error
		seconds int
		again   bool
	}{
		{(&problem{Status: 503, RetryAfter: 5}).asError(), 5, true},
		{(&problem{Code: "no_leader"}).asError(), 1, true},
		{(&problem{Status: 429, Code: "rate_limited", RetryAfter: 7}).asError(), 7, true},
		{(&problem{Status: 507, Code: "quota_exceeded", RetryAfter: 7}).asError(), 0, false},
		{(&problem{Status: 413, Code: "too_large"}).asError(), 0, false},
		{(&problem{Status: 403, Code: "forbidden"}).asError(), 0, false},
		{context.Canceled, 0, false}, {nil, 0, false},
	} {
		if seconds, again := retryAfter(each.err); seconds != each.seconds || again != each.again {
			t.Errorf("%v: %d %v", each.err, seconds, again)
		}
	}
}

func TestAPageTakesNoMoreThanItsBound(t *testing.T) {
	endless := &http.Response{Body: io.NopCloser(io.LimitReader(blanks{}, maxResponseBytes+2))}
	wants(t, readJSON(endless, &struct{}{}), connect.CodeUnavailable, "more than 33554432 bytes")
}

type blanks struct{}

// Read never ends.
func (blanks) Read(into []byte) (int, error) {
	for index := range into {
		into[index] = ' '
	}
	return len(into), nil
}
