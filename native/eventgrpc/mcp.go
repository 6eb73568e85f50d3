// mcp.v1.MCPService, the service of tas-mcp.

package eventgrpc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"cairn.internal/native/eventgrpc/gen/mcpv1"
)

type mcpService struct{ *Handler }

// IngestEvent stores one event.
func (s *mcpService) IngestEvent(
	ctx context.Context, request *connect.Request[mcpv1.IngestEventRequest],
) (*connect.Response[mcpv1.IngestEventResponse], error) {
	stored, err := s.store(ctx, request.Header(), request.Msg)
	if err != nil {
		return nil, err
	}
	answer := &mcpv1.IngestEventResponse{
		EventId: request.Msg.GetEventId(), Success: true, Status: "accepted", Timestamp: time.Now().Unix(), Message: "stored",
	}
	if stored.Duplicate {
		answer.Message = "stored before"
	}
	response := connect.NewResponse(answer)
	if stored.Cursor != "" {
		response.Header().Set("Cairn-Cursor", stored.Cursor)
	}
	return response, nil
}

// StreamEvents sends what is kept from a time or cursor on and, with follow, what comes after.
func (s *mcpService) StreamEvents(
	ctx context.Context, request *connect.Request[mcpv1.StreamEventsRequest], stream *connect.ServerStream[mcpv1.Event],
) error {
	metadata, out := request.Header(), mcpOut{s.Handler, stream.Send}
	query, err := readQuery(metadata, request.Msg)
	if err != nil {
		return err
	}
	if !request.Msg.GetFollow() {
		return s.page(ctx, metadata, query, out)
	}
	setOwn(query, metadata)
	return s.relay(ctx, metadata, query, out)
}

// readQuery returns where a stream of events begins.
func readQuery(metadata http.Header, asked *mcpv1.StreamEventsRequest) (url.Values, error) {
	seconds := asked.GetStartTimestamp()
	if seconds < 0 || seconds > maxTimestamp {
		return nil, invalid("start_timestamp",
			"start_timestamp is "+strconv.FormatInt(seconds, 10)+": give seconds since 1970")
	}
	query := spaceOf(metadata)
	setTypes(query, asked.GetEventTypes())
	if since := metadata.Get("Cairn-Since"); since != "" {
		query.Set("since", since)
		return query, nil
	}
	begin := "after"
	if asked.GetFollow() {
		begin = "time"
	}
	query.Set(begin, time.Unix(seconds, 0).UTC().Format(time.RFC3339))
	return query, nil
}

// commas writes a comma within a type, and a backslash, as the list of a query has them.
var commas = strings.NewReplacer(`\`, `\\`, ",", `\,`)

// setTypes asks for events of these types only; without any for all.
func setTypes(query url.Values, types []string) {
	if len(types) == 0 {
		return
	}
	written := make([]string, 0, len(types))
	for _, each := range types {
		written = append(written, commas.Replace(each))
	}
	query.Set("types", strings.Join(written, ","))
}

// setOwn asks for the caller's own events, too, where its metadata do.
func setOwn(query url.Values, metadata http.Header) {
	if metadata.Get("Cairn-Own") == "true" {
		query.Set("own", "true")
	}
}

// EventStream stores what comes and sends what others store from now on. A client that has ended its side goes on
// receiving.
func (s *mcpService) EventStream(ctx context.Context, stream *connect.BidiStream[mcpv1.Event, mcpv1.Event]) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	metadata, frames := stream.RequestHeader(), callOf(ctx).frames
	query := spaceOf(metadata)
	setOwn(query, metadata)
	if since := metadata.Get("Cairn-Since"); since != "" {
		query.Set("since", since)
	}
	feed, err := s.backend.follow(ctx, metadata, query)
	if err != nil {
		return err
	}
	defer feed.close()
	in := &intake{handler: s.Handler, metadata: metadata, frames: frames, events: make(chan received)}
	var tasks sync.WaitGroup
	run := func(task func(context.Context) error) {
		tasks.Go(func() {
			if err := s.guarded(func() error { return task(ctx) }); err != nil {
				cancel(err)
			}
		})
	}
	run(func(ctx context.Context) error { return in.receive(ctx, stream.Receive) })
	run(in.publish)
	err = s.forward(feed, mcpOut{s.Handler, stream.Send})
	cancel(err)
	frames.end()
	tasks.Wait()
	return context.Cause(ctx)
}

// GetHealth returns whether this node serves.
func (s *mcpService) GetHealth(
	ctx context.Context, request *connect.Request[mcpv1.HealthCheckRequest],
) (*connect.Response[mcpv1.HealthCheckResponse], error) {
	found, err := s.backend.ready(ctx, request.Header())
	if err != nil {
		return nil, err
	}
	status := "unhealthy"
	if found.Ready {
		status = "healthy"
	}
	return connect.NewResponse(&mcpv1.HealthCheckResponse{
		Healthy: found.Ready, Status: status, Uptime: s.counters.uptimeMs(),
		Details: map[string]string{
			"version": found.Version, "node": found.Status, "active_streams": strconv.FormatInt(s.counters.open.Load(), 10),
		},
	}), nil
}

// GetMetrics returns counts of this door since the start of the node, for callers with any right.
func (s *mcpService) GetMetrics(
	ctx context.Context, request *connect.Request[mcpv1.MetricsRequest],
) (*connect.Response[mcpv1.MetricsResponse], error) {
	if err := s.backend.admit(ctx, request.Header()); err != nil {
		return nil, err
	}
	counts := s.counters
	return connect.NewResponse(&mcpv1.MetricsResponse{
		TotalEvents: counts.events.Load(), StreamEvents: counts.streamed.Load(), ForwardedEvents: counts.sent.Load(),
		ErrorEvents: counts.failed.Load(), ActiveStreams: int32(counts.open.Load()), Uptime: counts.uptimeMs(),
	}), nil
}

// guarded runs a task of a call and returns a panic as an error: it would end the process.
func (h *Handler) guarded(task func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			h.options.Log("error", "panic in a stream: "+describe(cause))
			err = connect.NewError(connect.CodeInternal, errors.New("this call failed; the node's log says more"))
		}
	}()
	return task()
}

// mcpOut sends events to one client.
type mcpOut struct {
	handler *Handler
	write   func(*mcpv1.Event) error
}

func (o mcpOut) open() error { return o.write(nil) }

func (o mcpOut) passed(string) {}

func (o mcpOut) send(cursor string, text []byte) error {
	event, err := fromCloudEvent(text)
	if err != nil {
		return err
	}
	return o.handler.timed(cursor, func() error { return o.write(event) })
}
