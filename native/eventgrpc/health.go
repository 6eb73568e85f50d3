// grpc.health.v1.Health, the standard health service.

package eventgrpc

import (
	"context"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"

	"cairn.internal/native/eventgrpc/gen/healthv1"
)

// How often a watch asks the node.
var watchEvery = 5 * time.Second

type health struct{ *Handler }

// Check returns whether this node serves a service; "" is the node as a whole.
func (h *health) Check(
	ctx context.Context, request *connect.Request[healthv1.HealthCheckRequest],
) (*connect.Response[healthv1.HealthCheckResponse], error) {
	name := request.Msg.GetService()
	if name != "" && !slices.Contains(services, name) {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("this node has no service %.200q", name))
	}
	found, err := h.backend.ready(ctx, request.Header())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&healthv1.HealthCheckResponse{Status: servingOf(found.Ready)}), nil
}

func servingOf(ready bool) healthv1.HealthCheckResponse_ServingStatus {
	if ready {
		return healthv1.HealthCheckResponse_SERVING
	}
	return healthv1.HealthCheckResponse_NOT_SERVING
}

// Watch sends the state now, and each later one that differs.
func (h *health) Watch(
	ctx context.Context, request *connect.Request[healthv1.HealthCheckRequest],
	stream *connect.ServerStream[healthv1.HealthCheckResponse],
) error {
	if err := h.backend.admit(ctx, request.Header()); err != nil {
		return err
	}
	name := request.Msg.GetService()
	isKnown := name == "" || slices.Contains(services, name)
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	last := healthv1.HealthCheckResponse_UNKNOWN
	for {
		now := healthv1.HealthCheckResponse_SERVICE_UNKNOWN
		if isKnown {
			found, err := h.backend.ready(ctx, request.Header())
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			now = servingOf(err == nil && found.Ready)
		}
		if now != last {
			if err := stream.Send(&healthv1.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
