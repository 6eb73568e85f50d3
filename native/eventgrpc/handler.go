// Package eventgrpc serves the gRPC services of Cairn's events: mcp.v1.MCPService, generic.Eventing, the standard
// health service and reflection. It translates calls to the node's own HTTP routes and decides no right. Who calls,
// and what one caller may hold, is given to it.
//
// This file makes the handler and bounds each call; each service has a file of its own.
package eventgrpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"

	"cairn.internal/native/eventgrpc/gen/genericv1/genericv1connect"
	"cairn.internal/native/eventgrpc/gen/healthv1/healthv1connect"
	"cairn.internal/native/eventgrpc/gen/mcpv1/mcpv1connect"
)

// MaxMessageBytes bounds one message of a client, also after decompression.
const MaxMessageBytes = 1 << 20

// Smaller responses are not worth compressing.
const compressFromBytes = 1 << 10

var (
	// A call of one response takes at most this long, whatever deadline its client has.
	unaryTimeout = time.Minute
	// Descriptions are read within seconds; a client that still wants some calls again.
	reflectionTimeout = 2 * time.Minute
)

// Budget bounds what one caller and all together hold of something.
type Budget interface {
	// Take holds count for a caller and reports whether it could.
	Take(caller string, count int64) bool
	// Give gives back what Take held.
	Give(caller string, count int64)
}

// Options are what the handler needs of the node.
type Options struct {
	// Transport sends a request to the node's own routes, in the name of the caller of the request's context.
	Transport http.RoundTripper
	// Caller returns the id of the caller of a request that is served.
	Caller func(context.Context) string
	// Streams counts open streams, Bytes what was read of messages and is not stored yet.
	Streams, Bytes Budget
	// Log takes a line with its level: error, warning or debug.
	Log func(level, message string)
}

// Handler serves all gRPC services of a node.
type Handler struct {
	options  Options
	backend  *backend
	counters *counters
	mux      *http.ServeMux
	unary    map[string]bool
	// A time.Duration, which tests change while calls run.
	slowAfter atomic.Int64
}

// New returns the handler.
func New(options Options) *Handler {
	h := &Handler{options: options, counters: newCounters(), mux: http.NewServeMux()}
	h.backend = &backend{client: &http.Client{Transport: options.Transport, CheckRedirect: noRedirect}}
	h.slowAfter.Store(int64(slowAfter))
	h.unary = map[string]bool{
		mcpv1connect.MCPServiceIngestEventProcedure: true,
		mcpv1connect.MCPServiceGetHealthProcedure:   true,
		mcpv1connect.MCPServiceGetMetricsProcedure:  true,
		healthv1connect.HealthCheckProcedure:        true,
	}
	common := []connect.HandlerOption{
		connect.WithReadMaxBytes(MaxMessageBytes), connect.WithCompressMinBytes(compressFromBytes),
		connect.WithRecover(func(_ context.Context, spec connect.Spec, _ http.Header, cause any) error {
			options.Log("error", fmt.Sprintf("panic in %s: %v\n%s", spec.Procedure, cause, debug.Stack()))
			return connect.NewError(connect.CodeInternal, errors.New("this call failed; the node's log says more"))
		}),
	}
	names := []string{mcpv1connect.MCPServiceName, genericv1connect.EventingName, healthv1connect.HealthName}
	reflector := grpcreflect.NewStaticReflector(names...)
	h.mux.Handle(mcpv1connect.NewMCPServiceHandler(&mcpService{h}, common...))
	h.mux.Handle(genericv1connect.NewEventingHandler(&eventing{h}, common...))
	h.mux.Handle(healthv1connect.NewHealthHandler(&health{h}, common...))
	h.mux.Handle(grpcreflect.NewHandlerV1(reflector, common...))
	h.mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, common...))
	return h
}

// services are the first parts of the paths that the handler serves.
var services = []string{
	mcpv1connect.MCPServiceName, genericv1connect.EventingName, healthv1connect.HealthName,
	grpcreflect.ReflectV1ServiceName, grpcreflect.ReflectV1AlphaServiceName,
}

// Serves reports whether a path belongs to one of the services.
func Serves(path string) bool {
	for _, name := range services {
		if rest, found := strings.CutPrefix(path, "/"+name); found && strings.HasPrefix(rest, "/") {
			return true
		}
	}
	return false
}

// IsCall reports whether a request is a gRPC call, so that its refusal must be a gRPC status.
func IsCall(request *http.Request) bool {
	essence, _, _ := strings.Cut(request.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(essence)) {
	case "application/grpc", "application/grpc+proto":
		return request.Method == http.MethodPost && request.ProtoMajor > 1
	}
	return false
}

// ServeHTTP serves one call. The request has passed all checks of the node.
func (h *Handler) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	if !IsCall(request) {
		writer.Header().Set("Content-Type", "text/plain; charset=utf-8")
		writer.WriteHeader(http.StatusUnsupportedMediaType)
		fmt.Fprintf(writer, "%s takes gRPC calls: POST over HTTP/2 with content-type application/grpc.\n", request.URL.Path)
		return
	}
	caller := h.options.Caller(request.Context())
	ctx, cancel := context.WithCancel(context.WithValue(request.Context(), callKey{}, &call{}))
	defer cancel()
	if h.unary[request.URL.Path] {
		ctx, cancel = context.WithTimeout(ctx, unaryTimeout)
		defer cancel()
	} else {
		if !h.options.Streams.Take(caller, 1) {
			Refuse(writer, Refusal{Code: connect.CodeResourceExhausted, Detail: "This caller has too many streams open, or " +
				"all callers together have.", Hint: "Close some, or share one stream."})
			return
		}
		defer h.options.Streams.Give(caller, 1)
		h.counters.open.Add(1)
		defer h.counters.open.Add(-1)
		if strings.Contains(request.URL.Path, "reflection") {
			if err := h.backend.admit(ctx, request.Header); err != nil {
				refuseWith(&responder{ResponseWriter: writer, closes: &callOf(ctx).closes}, err)
				return
			}
			ctx, cancel = context.WithTimeout(ctx, reflectionTimeout)
			defer cancel()
		}
	}
	h.serve(ctx, writer, request, caller)
}

// serve runs the service of a call.
func (h *Handler) serve(ctx context.Context, writer http.ResponseWriter, request *http.Request, caller string) {
	body := newFrames(request.Body, http.NewResponseController(writer), caller, h.options.Bytes)
	defer body.finish()
	request = request.WithContext(ctx)
	request.Body = body
	request.Trailer = nil // a client's trailers mean nothing in gRPC
	current := callOf(ctx)
	current.frames = body
	h.mux.ServeHTTP(&responder{ResponseWriter: writer, closes: &current.closes}, request)
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
