// Events to other servers of mcp.v1.MCPService, as tas-mcp and Cairn are.

package eventgrpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"

	"cairn.internal/native/eventgrpc/gen/mcpv1"
	"cairn.internal/native/eventgrpc/gen/mcpv1/mcpv1connect"
)

// IngestPath is the path of the one call that is made.
const IngestPath = mcpv1connect.MCPServiceIngestEventProcedure

// An answer says little.
const maxAnswerBytes = 64 << 10

// notMetadata are headers of the request to this process that say nothing to the other server.
var notMetadata = []string{
	"Accept", "Accept-Encoding", "Connection", "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding",
	"Te", "Upgrade", "Host", "Expect", "Trailer",
}

// Answer is what a server said, as a response of HTTP says it.
type Answer struct {
	Status int
	// Text is for people.
	Text string
	// RetryAfter is a header, or empty.
	RetryAfter string
}

// Ingest sends an event, given as the JSON form of IngestEventRequest, with these headers as metadata. An error says
// that no server of gRPC answered.
func Ingest(ctx context.Context, way http.RoundTripper, base string, headers http.Header, event []byte) (Answer, error) {
	message := &mcpv1.IngestEventRequest{}
	if err := protojson.Unmarshal(event, message); err != nil {
		return Answer{Status: http.StatusBadRequest, Text: fmt.Sprintf("the event is no IngestEventRequest: %v", err)}, nil
	}
	client := mcpv1connect.NewMCPServiceClient(&http.Client{Transport: way, CheckRedirect: noRedirect}, base,
		connect.WithGRPC(), connect.WithReadMaxBytes(maxAnswerBytes))
	request := connect.NewRequest(message)
	for name, values := range headers {
		request.Header()[name] = values
	}
	for _, name := range notMetadata {
		request.Header().Del(name)
	}
	response, err := client.IngestEvent(ctx, request)
	if err == nil {
		text := strings.TrimSpace(response.Msg.GetStatus() + " " + response.Msg.GetMessage())
		return Answer{Status: http.StatusOK, Text: text}, nil
	}
	var said *connect.Error
	if !errors.As(err, &said) || !connect.IsWireError(err) {
		return Answer{}, err
	}
	return Answer{
		Status: statusOf(said.Code(), len(event)), Text: fmt.Sprintf("%s: %s", said.Code(), said.Message()),
		RetryAfter: said.Meta().Get("Retry-After"),
	}, nil
}

// statusOf returns the status of HTTP that says the same as a code. ResourceExhausted means that a message is too large
// where it is larger than what servers take by default, else that there are too many.
func statusOf(code connect.Code, size int) int {
	switch code {
	case connect.CodeAlreadyExists:
		return http.StatusOK // sent before, and taken
	case connect.CodeInvalidArgument, connect.CodeOutOfRange:
		return http.StatusBadRequest
	case connect.CodeUnauthenticated:
		return http.StatusUnauthorized
	case connect.CodePermissionDenied:
		return http.StatusForbidden
	case connect.CodeNotFound:
		return http.StatusNotFound
	case connect.CodeUnimplemented:
		return http.StatusNotImplemented
	case connect.CodeResourceExhausted:
		if size > MaxMessageBytes {
			return http.StatusRequestEntityTooLarge
		}
		return http.StatusTooManyRequests
	case connect.CodeFailedPrecondition, connect.CodeAborted:
		return http.StatusConflict
	case connect.CodeUnavailable, connect.CodeCanceled:
		return http.StatusServiceUnavailable
	case connect.CodeDeadlineExceeded:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}
