// Calls of gRPC: what eventgrpc needs of the node. Its requests to the target are vouched for like forwarded ones.

package core

import (
	"context"
	"net/http"
	"strconv"

	"cairn.internal/native/eventgrpc"
)

type hostKey struct{}

// newCalls returns the handler of gRPC calls in front of a target.
func newCalls(node *Node, target string) *eventgrpc.Handler {
	return eventgrpc.New(eventgrpc.Options{
		Transport: &vouched{node: node, transport: targetTransport(target)},
		Caller: func(ctx context.Context) string {
			return ctx.Value(callerCheckKey{}).(*callerCheck).caller.ID
		},
		Streams: budget{node.conns.streams}, Bytes: budget{node.conns.messages},
		Log: node.log,
	})
}

// vouched sends requests in the name of the caller of their context.
type vouched struct {
	node      *Node
	transport http.RoundTripper
}

// RoundTrip sends one request to the target.
func (v *vouched) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Host = request.Context().Value(hostKey{}).(string)
	v.node.vouch(request.Context(), request.Header)
	return v.transport.RoundTrip(request)
}

// budget lets eventgrpc use shares.
type budget struct{ shares *shares }

// Take holds count for a caller and reports whether it could.
func (b budget) Take(caller string, count int64) bool { return b.shares.take(caller, count) }

// Give gives it back.
func (b budget) Give(caller string, count int64) { b.shares.give(caller, count) }

// callWriter is the response of a gRPC call.
type callWriter struct{ *timedWriter }

func (w callWriter) writeProblem(p Problem) {
	seconds, _ := strconv.Atoi(w.Header().Get("Retry-After"))
	eventgrpc.Refuse(w.timedWriter, eventgrpc.Refusal{
		Code: eventgrpc.CodeOf(p.Status), Detail: p.Detail, Hint: p.Hint, RetryAfter: seconds,
	})
}
