// Tests of refusals: the code of each HTTP status, and what a client of gRPC reads.

package eventgrpc

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"
)

func TestCodesOfStatuses(t *testing.T) {
	for code, statuses := range map[connect.Code][]int{
		connect.CodeInvalidArgument:    {400, 415, 422},
		connect.CodeUnauthenticated:    {401},
		connect.CodePermissionDenied:   {403, 421},
		connect.CodeNotFound:           {404},
		connect.CodeUnimplemented:      {405, 501},
		connect.CodeDeadlineExceeded:   {408},
		connect.CodeAborted:            {409},
		connect.CodeOutOfRange:         {410},
		connect.CodeFailedPrecondition: {412},
		connect.CodeResourceExhausted:  {413, 429, 431, 507},
		connect.CodeUnavailable:        {502, 503, 504},
		connect.CodeInternal:           {500, 302, 418},
	} {
		for _, status := range statuses {
			if got := CodeOf(status); got != code {
				t.Errorf("%d is %v, not %v", status, got, code)
			}
		}
	}
}

func TestARefusalIsAStatusOfHeadersOnly(t *testing.T) {
	for _, each := range []struct {
		refusal        Refusal
		message, after string
	}{
		{Refusal{Code: connect.CodeNotFound, Detail: "Not here."}, "Not here.", ""},
		{Refusal{Code: connect.CodeUnavailable, Detail: "No.", Hint: "Wait.", RetryAfter: 1}, "No. Wait.", "1"},
		{Refusal{Detail: "~ ä\n100%\x7f"}, "~ %C3%A4%0A100%25%7F", ""},
	} {
		answer := httptest.NewRecorder()
		Refuse(answer, each.refusal)
		head := answer.Result().Header
		if answer.Code != http.StatusOK || answer.Body.Len() != 0 || head.Get("Content-Type") != "application/grpc" ||
			head.Get("Grpc-Message") != each.message || head.Get("Retry-After") != each.after {
			t.Errorf("%v: %d %v", each.refusal, answer.Code, head)
		}
	}
}

// heads counts the heads of a response.
type heads struct {
	http.ResponseWriter
	count int
}

// WriteHeader counts one.
func (h *heads) WriteHeader(int) { h.count++ }

func TestAResponseHasOneHead(t *testing.T) {
	current := &call{}
	current.closes.Store(true)
	below := &heads{ResponseWriter: httptest.NewRecorder()}
	answer := &responder{ResponseWriter: below, closes: &current.closes}
	answer.Flush()
	for range 2 {
		if _, err := answer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if below.count != 1 || below.Header().Get("Connection") != "close" {
		t.Errorf("%d heads, %v", below.count, below.Header())
	}
}
