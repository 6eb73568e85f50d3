// Shared by the tests: a server of the handler in front of a node, bounds of callers, and gRPC clients.

package eventgrpc

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"cairn.internal/native/eventgrpc/gen/genericv1/genericv1connect"
	"cairn.internal/native/eventgrpc/gen/healthv1/healthv1connect"
	"cairn.internal/native/eventgrpc/gen/mcpv1/mcpv1connect"
)

const waitMax = 10 * time.Second

// testBudget is a Budget with one limit for each caller.
type testBudget struct {
	limit int64
	mu    sync.Mutex
	held  map[string]int64
}

// Take holds count for a caller.
func (b *testBudget) Take(caller string, count int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held[caller]+count > b.limit {
		return false
	}
	b.held[caller] += count
	return true
}

// Give gives it back.
func (b *testBudget) Give(caller string, count int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[caller] -= count
}

func (b *testBudget) sum() (sum int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, held := range b.held {
		sum += held
	}
	return sum
}

type callerKey struct{}

// identified adds the caller of the context to requests to the node, as the Go half does.
type identified struct{ http.RoundTripper }

// RoundTrip sends one request.
func (i identified) RoundTrip(request *http.Request) (*http.Response, error) {
	caller, _ := request.Context().Value(callerKey{}).(string)
	request.Header.Set("Test-Caller", caller)
	return i.RoundTripper.RoundTrip(request)
}

type rig struct {
	t              *testing.T
	node           *fakeNode
	server         *httptest.Server
	streams, bytes *testBudget
	handler        *Handler
	open           atomic.Int64 // connections of clients
}

// startRig serves the handler in front of a node. At the end of the test nothing of a call may be left.
func startRig(t *testing.T) *rig {
	t.Helper()
	before := runtime.NumGoroutine()
	r := &rig{t: t, node: newFakeNode()}
	r.streams = &testBudget{limit: 100, held: map[string]int64{}}
	r.bytes = &testBudget{limit: 32 << 20, held: map[string]int64{}}
	folder, err := os.MkdirTemp("", "cn")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(folder, "ingress.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	inner := &http.Server{Handler: r.node}
	go inner.Serve(listener)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	r.handler = New(Options{
		Transport: identified{transport}, Streams: r.streams, Bytes: r.bytes,
		Caller: func(ctx context.Context) string { caller, _ := ctx.Value(callerKey{}).(string); return caller },
		Log:    func(level, message string) { t.Logf("%s: %s", level, message) },
	})
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		ctx := context.WithValue(request.Context(), callerKey{}, request.Header.Get("Test-Caller"))
		r.handler.ServeHTTP(writer, request.WithContext(ctx))
	}))
	r.server.Config.Protocols = bothProtocols()
	r.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			r.open.Add(1)
		case http.StateClosed:
			r.open.Add(-1)
		}
	}
	r.server.Start()
	t.Cleanup(func() {
		r.server.CloseClientConnections()
		r.server.Close()
		eventually(t, "the end of all calls", func() bool { return r.streams.sum() == 0 && r.bytes.sum() == 0 })
		transport.CloseIdleConnections()
		inner.Close()
		os.RemoveAll(folder)
		eventually(t, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= before })
	})
	return r
}

func bothProtocols() *http.Protocols {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return protocols
}

// as returns an HTTP client over one h2 connection of its own, as this caller.
func (r *rig) as(caller string) *http.Client {
	return r.through(caller, &atomic.Int64{})
}

// through counts the connections of such a client.
func (r *rig) through(caller string, dials *atomic.Int64) *http.Client {
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	transport := &http.Transport{Protocols: protocols, DialContext: dial}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: named{transport, caller}}
}

type named struct {
	http.RoundTripper
	caller string
}

// RoundTrip sends one request.
func (n named) RoundTrip(request *http.Request) (*http.Response, error) {
	request.Header.Set("Test-Caller", n.caller)
	return n.RoundTripper.RoundTrip(request)
}

func (r *rig) mcp(caller string, options ...connect.ClientOption) mcpv1connect.MCPServiceClient {
	return mcpv1connect.NewMCPServiceClient(r.as(caller), r.server.URL, append(options, connect.WithGRPC())...)
}

func (r *rig) argo(caller string) genericv1connect.EventingClient {
	return genericv1connect.NewEventingClient(r.as(caller), r.server.URL, connect.WithGRPC())
}

func (r *rig) health(caller string) healthv1connect.HealthClient {
	return healthv1connect.NewHealthClient(r.as(caller), r.server.URL, connect.WithGRPC())
}

func eventually(t *testing.T, what string, look func() bool) {
	t.Helper()
	for until := time.Now().Add(waitMax); !look(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			if strings.Contains(what, "goroutines") {
				stacks := make([]byte, 1<<20)
				t.Logf("%s", stacks[:runtime.Stack(stacks, true)])
			}
			t.Errorf("waited in vain for %s", what)
			return
		}
	}
}

// quickly sets times for one test.
func quickly(t *testing.T, times map[*time.Duration]time.Duration) {
	t.Helper()
	for which, short := range times {
		usual := *which
		*which = short
		t.Cleanup(func() { *which = usual })
	}
}

func wants(t *testing.T, err error, code connect.Code, words ...string) *connect.Error {
	t.Helper()
	if connect.CodeOf(err) != code || err == nil {
		t.Fatalf("the status is %v, not %v", err, code)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	known, _ := err.(*connect.Error)
	if known == nil {
		known = connect.NewError(code, io.EOF)
	}
	return known
}
