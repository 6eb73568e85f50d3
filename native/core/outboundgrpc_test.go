// Tests of events to servers of gRPC over the host's network: what the server gets, what its answers become, and that
// the guard decides about these connections, too.

package core

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"cairn.internal/native/eventgrpc"
	"cairn.internal/native/eventgrpc/gen/mcpv1"
	"cairn.internal/native/eventgrpc/gen/mcpv1/mcpv1connect"
)

type ingestServer struct {
	mcpv1connect.UnimplementedMCPServiceHandler
	got    chan *connect.Request[mcpv1.IngestEventRequest]
	answer func() error
}

func (s *ingestServer) IngestEvent(
	ctx context.Context, request *connect.Request[mcpv1.IngestEventRequest],
) (*connect.Response[mcpv1.IngestEventResponse], error) {
	s.got <- request
	if err := s.answer(); err != nil {
		return nil, err
	}
	return connect.NewResponse(&mcpv1.IngestEventResponse{EventId: request.Msg.EventId, Status: "accepted"}), nil
}

// startIngest starts a server, with or without TLS, and returns it with its address.
func startIngest(t *testing.T, secure bool) (server *ingestServer, address string, roots *x509.CertPool) {
	t.Helper()
	server = &ingestServer{got: make(chan *connect.Request[mcpv1.IngestEventRequest], 8), answer: func() error { return nil }}
	mux := http.NewServeMux()
	mux.Handle(mcpv1connect.NewMCPServiceHandler(server))
	listening := httptest.NewUnstartedServer(mux)
	listening.Config.Protocols = &http.Protocols{}
	listening.Config.Protocols.SetHTTP2(secure)
	listening.Config.Protocols.SetUnencryptedHTTP2(!secure)
	listening.EnableHTTP2 = secure
	if secure {
		listening.StartTLS()
		roots = x509.NewCertPool()
		roots.AddCert(listening.Certificate())
	} else {
		listening.Start()
	}
	t.Cleanup(listening.Close)
	return server, listening.Listener.Addr().String(), roots
}

// ingestWith returns what sends a body through an egress with these rules.
func ingestWith(t *testing.T, roots *x509.CertPool, allow ...string) func(scheme, host, path, body string) answer {
	t.Helper()
	rules, err := parseOutboundRules(allow)
	if err != nil {
		t.Fatal(err)
	}
	guard := newOutboundGuard(rules)
	guard.lookUp = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	node := &Node{emit: func(any) {}, secrets: &redactor{}}
	way := newOutbound(node, guard, nil, roots)
	server := httptest.NewServer(http.HandlerFunc(way.serve))
	t.Cleanup(func() { way.close(); server.Close() })
	return func(scheme, host, path, body string) answer {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		request, _ := http.NewRequestWithContext(ctx, "POST", server.URL+path, strings.NewReader(body))
		request.Host = host
		request.Header.Set(headerScheme, scheme)
		request.Header.Set(headerSecret, "not for outside")
		request.Header.Set(headerProtocol, "grpc")
		request.Header.Set("Authorization", "Bearer key")
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return answer{Body: err.Error()}
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		return answer{
			Status: response.StatusCode, Header: response.Header, Body: string(text), Code: response.Header.Get(headerRefusal),
		}
	}
}

const anEvent = `{"event_id":"1","event_type":"t","source":"s","timestamp":5,"data":"{}","metadata":{"a":"b"}}`

func TestAnEventIsIngested(t *testing.T) {
	for scheme, secure := range map[string]bool{"http": false, "https": true} {
		t.Run(scheme, func(t *testing.T) {
			server, address, roots := startIngest(t, secure)
			send := ingestWith(t, roots, address)
			if got := send(scheme, address, eventgrpc.IngestPath, anEvent); got.Status != 200 || got.Body != "accepted" {
				t.Fatalf("%+v", got)
			}
			got := <-server.got
			if got.Msg.EventId != "1" || got.Msg.Timestamp != 5 || got.Msg.Data != "{}" || got.Msg.Metadata["a"] != "b" {
				t.Errorf("%v", got.Msg)
			}
			if got.Header().Get("Authorization") != "Bearer key" || got.Header().Get(headerSecret) != "" ||
				got.Header().Get(headerScheme) != "" {
				t.Errorf("metadata %v", got.Header())
			}
		})
	}
}

func TestAnswersOfAnIngestServer(t *testing.T) {
	server, address, _ := startIngest(t, false)
	send := ingestWith(t, nil, address)
	large := strings.Replace(anEvent, "{}", strings.Repeat("1", 2<<20), 1)
	for _, each := range []struct {
		code   connect.Code
		body   string
		status int
	}{
		{connect.CodeInvalidArgument, anEvent, 400}, {connect.CodeOutOfRange, anEvent, 400},
		{connect.CodeUnauthenticated, anEvent, 401}, {connect.CodePermissionDenied, anEvent, 403},
		{connect.CodeNotFound, anEvent, 404}, {connect.CodeUnimplemented, anEvent, 501},
		{connect.CodeResourceExhausted, anEvent, 429}, {connect.CodeResourceExhausted, large, 413},
		{connect.CodeUnavailable, anEvent, 503}, {connect.CodeInternal, anEvent, 500},
		{connect.CodeAlreadyExists, anEvent, 200}, {connect.CodeAborted, anEvent, 409},
	} {
		server.answer = func() error {
			said := connect.NewError(each.code, errors.New("why"))
			said.Meta().Set("Retry-After", "7")
			return said
		}
		got := send("http", address, eventgrpc.IngestPath, each.body)
		<-server.got
		if got.Status != each.status || !strings.Contains(got.Body, "why") || got.Header.Get("Retry-After") != "7" {
			t.Errorf("%s: %d %q %v", each.code, got.Status, got.Body, got.Header)
		}
	}
	if got := send("http", address, eventgrpc.IngestPath, `{"event_id":1}`); got.Status != 400 || len(server.got) != 0 {
		t.Errorf("a wrong event: %+v", got)
	}
	if got := send("http", address, "/mcp.v1.MCPService/GetMetrics", anEvent); got.Code != "bad_request" {
		t.Errorf("another call: %+v", got)
	}
}

func TestIngestFaults(t *testing.T) {
	plain := func(handle http.HandlerFunc) string {
		server := httptest.NewUnstartedServer(handle)
		server.Config.Protocols = &http.Protocols{}
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Config.Protocols.SetHTTP1(true)
		server.Start()
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	port, seen := startCanary(t, "127.0.0.1:0")
	refused := ingestWith(t, nil)
	for _, host := range []string{"127.0.0.1:" + port, "name.example:" + port, "10.0.0.1:443"} {
		if got := refused("http", host, eventgrpc.IngestPath, anEvent); got.Code != "outbound_refused" {
			t.Errorf("%s: %+v", host, got)
		}
	}
	if seen.Load() != 0 {
		t.Errorf("%d connections to a refused address", seen.Load())
	}
	nobody, _ := net.Listen("tcp", "127.0.0.1:0")
	nobody.Close()
	target := plain(func(http.ResponseWriter, *http.Request) { t.Error("a redirect is followed") })
	for name, address := range map[string]string{
		"nobody": nobody.Addr().String(),
		"redirect": plain(func(writer http.ResponseWriter, request *http.Request) {
			http.Redirect(writer, request, "http://"+target+"/", http.StatusTemporaryRedirect)
		}),
		"no gRPC": plain(func(writer http.ResponseWriter, _ *http.Request) { io.WriteString(writer, "hello") }),
		"cut":     plain(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"cut later": plain(func(writer http.ResponseWriter, _ *http.Request) {
			writer.Header().Set("Content-Type", "application/grpc")
			writer.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}),
		"endless": plain(func(writer http.ResponseWriter, request *http.Request) {
			writer.Header().Set("Content-Type", "application/grpc")
			for request.Context().Err() == nil {
				if _, err := writer.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}),
	} {
		got := ingestWith(t, nil, address)("http", address, eventgrpc.IngestPath, anEvent)
		if (got.Code != "dial_failed" && got.Code != "exchange_failed") || got.Status != 502 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	hang := plain(func(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() })
	if got := ingestWith(t, nil, hang)("http", hang, eventgrpc.IngestPath, anEvent); got.Status != 0 {
		t.Errorf("a server that hangs: %+v", got)
	}
}
