// Refusals as gRPC statuses: a client of gRPC shows the message of a status and nothing of any other response.

package eventgrpc

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"connectrpc.com/connect"
)

// Refusal is a call that is not served.
type Refusal struct {
	Code   connect.Code
	Detail string
	// Hint says what to do next; may be empty.
	Hint string
	// RetryAfter is in seconds; 0 says nothing of it.
	RetryAfter int
}

// CodeOf returns the gRPC code that says the same as an HTTP status.
func CodeOf(status int) connect.Code {
	switch status {
	case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return connect.CodeInvalidArgument
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated
	case http.StatusForbidden, http.StatusMisdirectedRequest:
		return connect.CodePermissionDenied
	case http.StatusNotFound:
		return connect.CodeNotFound
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return connect.CodeUnimplemented
	case http.StatusRequestTimeout:
		return connect.CodeDeadlineExceeded
	case http.StatusConflict:
		return connect.CodeAborted
	case http.StatusGone:
		return connect.CodeOutOfRange
	case http.StatusPreconditionFailed:
		return connect.CodeFailedPrecondition
	case http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge, http.StatusTooManyRequests,
		http.StatusInsufficientStorage:
		return connect.CodeResourceExhausted
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return connect.CodeUnavailable
	}
	return connect.CodeInternal
}

// Refuse writes a response of headers only, which ends the call with that status.
func Refuse(writer http.ResponseWriter, refusal Refusal) {
	header := writer.Header()
	header.Set("Content-Type", "application/grpc")
	header.Set("Grpc-Status", strconv.Itoa(int(refusal.Code)))
	header.Set("Grpc-Message", percent(sentences(refusal.Detail, refusal.Hint)))
	if refusal.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(refusal.RetryAfter))
	}
	writer.WriteHeader(http.StatusOK)
}

func refuseWith(writer http.ResponseWriter, err error) {
	refusal := Refusal{Code: connect.CodeOf(err), Detail: err.Error()}
	if known := (*connect.Error)(nil); errors.As(err, &known) {
		refusal.Detail = known.Message()
		refusal.RetryAfter, _ = strconv.Atoi(known.Meta().Get("Retry-After"))
	}
	Refuse(writer, refusal)
}

func sentences(detail, hint string) string {
	if hint == "" {
		return detail
	}
	return detail + " " + hint
}

// percent encodes the message of a status as the gRPC protocol wants it: all but printable ASCII, and %.
func percent(text string) string {
	var out strings.Builder
	for index := range len(text) {
		if char := text[index]; char < ' ' || char > '~' || char == '%' {
			fmt.Fprintf(&out, "%%%02X", char)
		} else {
			out.WriteByte(char)
		}
	}
	return out.String()
}
