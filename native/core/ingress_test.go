// Tests of ingress over real WireGuard: headers, limits, refusals, streams, upgrades.

package core

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"cairn.internal/native/tailnettest"
)

// sendRaw sends bytes over one tailnet connection and returns what comes back until the other side closes it.
func sendRaw(t *testing.T, client *tailnettest.Client, address, text string) string {
	t.Helper()
	conn := dialRaw(t, client, address)
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	got, _ := io.ReadAll(conn)
	return string(got)
}

func dialRaw(t *testing.T, client *tailnettest.Client, address string) net.Conn {
	t.Helper()
	for deadline := time.Now().Add(testTimeout); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		conn, err := client.Dial(ctx, "tcp", address)
		cancel()
		if err == nil {
			return conn
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestForgedHeadersAndTrailersAreRemoved(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	answer := sendRaw(
		t,
		client,
		r.ip()+":80",
		"POST /x HTTP/1.1\r\nHost: cairn\r\nConnection: close, Cairn-Internal-Caller, Cairn-Internal-Secret, X-Mine\r\n"+
			"cairn-internal-CALLER: {\"forged\":1}\r\nCairn-Internal-Secret: forged\r\nCairn_Internal_Secret: forged\r\nCairn-Internal-Scheme: https\r\nCairn-Internal-New: forged\r\n"+
			"Tailscale-User-Login: forged\r\ntailscale-app-capabilities: forged\r\nX-Forwarded-For: forged\r\nX-FORWARDED-HOST: forged\r\nForwarded: forged\r\n"+
			"Expect: 100-continue\r\nTE: trailers\r\nX-Mine: gone by Connection\r\nCairn-Min-Position: 1-2\r\nUpgrade: h2c\r\n"+
			"Trailer: Cairn-Internal-Caller, X-Tail\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nCairn-Internal-Caller: forged\r\nX-Tail: forged\r\n\r\n",
	)
	if !strings.Contains(answer, "200 OK") || strings.Contains(answer, "forged") ||
		!strings.Contains(answer, `"body":"hello"`) {
		t.Fatalf("answer %s", answer)
	}
	r.target.mu.Lock()
	got := r.target.last
	r.target.mu.Unlock()
	if values := got.Header[headerSecret]; len(values) != 1 || values[0] != r.params.IngressSecret {
		t.Errorf("secret %q", values)
	}
	if values := got.Header[headerCaller]; len(values) != 1 || !strings.Contains(values[0], client.ID) {
		t.Errorf("caller %q", values)
	}
	if values := got.Header[headerScheme]; len(values) != 1 || values[0] != "http" {
		t.Errorf("scheme %q", values)
	}
	for _, name := range []string{"Te", "Trailer", "Expect", "X-Mine", "Upgrade"} {
		if got.Header.Get(name) != "" {
			t.Errorf("%s travelled on: %q", name, got.Header.Get(name))
		}
	}
	if len(got.Trailer) != 0 || got.Header.Get("Cairn-Min-Position") != "1-2" || got.Host != "cairn" {
		t.Errorf("trailer %v, host %q, headers %v", got.Trailer, got.Host, got.Header)
	}
	r.target.handle(func(writer http.ResponseWriter, _ *http.Request) { writer.Header().Set(headerSecret, "leak") })
	if got := get(t, client, "http://cairn/"); got.Header.Get(headerSecret) != "" {
		t.Error("an internal header left with the answer")
	}
}

func TestIngressRefusals(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{change: func(p *UpParams) {
		p.MaxBodyBytes = 1000
		p.AllowedHosts = []string{"memory.example.com"}
		p.AllowedOrigins = []string{"https://pages.example.com"}
	}})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	big, long := strings.Repeat("b", 1001), strings.Repeat("h", 70_000)
	head := func(line, more string) string { return line + " HTTP/1.1\r\nConnection: close\r\n" + more + "\r\n" }
	for _, row := range []struct {
		name, request, status, code string
		reaches                     bool
	}{
		{"plain", head("GET /", "Host: cairn\r\n"), "200", "", true},
		{"configured host", head("GET /", "Host: memory.example.com\r\n"), "200", "", true},
		{"own address", head("GET /", "Host: "+r.ip()+"\r\n"), "200", "", true},
		{"absolute form", head("GET http://cairn/ ", "Host: evil.example.com\r\n"), "400", "", false},
		{"absolute form names the host", head("GET http://evil.example.com/", "Host: cairn\r\n"), "421", "host_not_allowed", false},
		{"other host", head("GET /", "Host: evil.example.com\r\n"), "421", "host_not_allowed", false},
		{"other port", head("GET /", "Host: cairn:8080\r\n"), "421", "host_not_allowed", false},
		{"other host, the path of a call", head("POST /mcp.v1.MCPService/IngestEvent", "Host: evil.example.com\r\nContent-Length: 0\r\n"), "421", "host_not_allowed", false},
		{"no host", head("GET /", ""), "400", "", false},
		{"two hosts", head("GET /", "Host: cairn\r\nHost: cairn\r\n"), "400", "", false},
		{"foreign origin", head("POST /", "Host: cairn\r\nOrigin: http://evil.example.com\r\nContent-Length: 0\r\n"), "403", "origin_not_allowed", false},
		{"opaque origin", head("GET /", "Host: cairn\r\nOrigin: null\r\n"), "403", "origin_not_allowed", false},
		{"configured origin", head("POST /", "Host: cairn\r\nOrigin: https://pages.example.com\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n"), "200", "", true},
		{"cross-site", head("POST /", "Host: cairn\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n"), "403", "origin_not_allowed", false},
		{"OPTIONS *", head("OPTIONS *", "Host: cairn\r\n"), "400", "bad_request", false},
		{"CONNECT", head("CONNECT cairn:80", "Host: cairn\r\n"), "400", "bad_request", false},
		{"TRACE", head("TRACE /", "Host: cairn\r\n"), "400", "bad_request", false},
		{"unknown method", head("BREW /", "Host: cairn\r\n"), "405", "method_not_allowed", false},
		{"method in lower case", head("get /", "Host: cairn\r\n"), "405", "method_not_allowed", false},
		{"many headers", head("GET /", "Host: cairn\r\n"+strings.Repeat("X: y\r\n", 200)), "431", "header_too_large", false},
		{"header at the limit", head("GET /", "Host: cairn\r\nX-Long: "+long[:10<<10]+"\r\n"), "200", "", true},
		{"head at the limit", head("GET /", "Host: cairn\r\nX-Long: "+long[:maxHeaderBytes-58]+"\r\n"), "200", "", true},
		{"head above it", head("GET /", "Host: cairn\r\nX-Long: "+long[:maxHeaderBytes-57]+"\r\n"), "431", "header_too_large", false},
		{"fields at the limit", head("GET /", "Host: cairn\r\n"+strings.Repeat("X: y\r\n", 149)), "200", "", true},
		{"fields above it", head("GET /", "Host: cairn\r\n"+strings.Repeat("X: y\r\n", 150)), "431", "header_too_large", false},
		{"body at the limit", head("POST /", "Host: cairn\r\nContent-Length: 1000\r\n") + big[:1000], "200", "", true},
		{"long header", head("GET /", "Host: cairn\r\nX-Long: "+long+"\r\n"), "431", "header_too_large", false},
		{"endless header", head("GET /", "Host: cairn\r\nX-Long: "+long+long+"\r\n"), "431", "", false},
		{"big body", head("POST /", "Host: cairn\r\nContent-Length: 1001\r\n") + big, "413", "body_too_large", false},
		{"not HTTP", "\x16\x03\x01 hello there\r\n\r\n", "400", "", false},
		{"length twice", head("POST /", "Host: cairn\r\nContent-Length: 1\r\nContent-Length: 2\r\n") + "ab", "400", "", false},
		{"length and chunks", head("POST /", "Host: cairn\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n") + "1\r\na\r\n0\r\n\r\n", "200", "", true},
		{"odd encoding", head("POST /", "Host: cairn\r\nTransfer-Encoding: chunked, identity\r\n") + "0\r\n\r\n", "501", "", false},
		{"folded line", head("GET /", "Host: cairn\r\n X: y\r\n"), "400", "", false},
		{"space in name", head("GET /", "Host: cairn\r\nCairn-Internal-Secret : x\r\n"), "400", "", false},
	} {
		before := r.target.seen.Load()
		got := sendRaw(t, client, r.ip()+":80", row.request)
		if !strings.HasPrefix(got, "HTTP/1.1 "+row.status) && !strings.HasPrefix(got, "HTTP/1.0 "+row.status) {
			t.Errorf("%s: got %.300q", row.name, got)
		}
		if row.code != "" &&
			(!strings.Contains(got, `"code":"`+row.code+`"`) || !strings.Contains(got, "application/problem+json")) {
			t.Errorf("%s: no %s in %.500q", row.name, row.code, got)
		}
		if reached := r.target.seen.Load() > before; reached != row.reaches {
			t.Errorf("%s: reached the target: %v", row.name, reached)
		}
	}
	// The refusal arrives although the client is still sending megabytes.
	tooLong := head("POST /", "Host: cairn\r\nContent-Length: 3000000\r\n") + strings.Repeat("b", 200_000)
	if got := sendRaw(t, client, r.ip()+":80", tooLong); !strings.HasPrefix(got, "HTTP/1.1 413") {
		t.Errorf("a large upload: got %.300q", got)
	}
	// A body without a length is cut at the limit, although the target has read its beginning.
	r.target.handle(func(writer http.ResponseWriter, request *http.Request) { io.Copy(io.Discard, request.Body) })
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 600, strings.Repeat("c", 600))
	got := sendRaw(t, client, r.ip()+":80",
		head("POST /", "Host: cairn\r\nTransfer-Encoding: chunked\r\n")+chunk+chunk+"0\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 413") || !strings.Contains(got, "body_too_large") ||
		!strings.Contains(got, "http.max_body_bytes") {
		t.Errorf("chunked: got %.300q", got)
	}
}

func TestTargetUnreachable(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	if got := get(t, client, "http://cairn/"); got.Status != 200 {
		t.Fatalf("got %d", got.Status)
	}
	// A target that received a request and closed the connection may have executed it.
	silent := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	r.target.handler.Store(&silent)
	got := get(t, client, "http://cairn/")
	if got.Status != 502 || got.Code != "target_unreachable" ||
		!strings.Contains(string(got.Body), `"outcome":"unknown"`) {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
	r.target.server.Close()
	got = get(t, client, "http://cairn/")
	if got.Status != 502 || got.Code != "target_unreachable" || got.Header.Get("Retry-After") == "" ||
		!strings.Contains(string(got.Body), `"outcome":"not_written"`) {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
}

func TestPanicInRequestAbortsOnlyThatRequest(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{options: Options{Middleware: func(forward http.Handler) http.Handler {
		return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			if request.URL.Path == "/panic" {
				panic("on purpose")
			}
			forward.ServeHTTP(writer, request)
		})
	}}})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	if got := get(t, client, "http://cairn/"); got.Status != 200 {
		t.Fatalf("got %d", got.Status)
	}
	before := r.mark()
	if response, err := client.HTTP.Get("http://cairn/panic"); err == nil {
		t.Errorf("the panicking request was answered with %d", response.StatusCode)
	}
	r.await("a log line about the panic", func() bool {
		for _, event := range r.events[before:] {
			if event["level"] == "error" && strings.Contains(fmt.Sprint(event["message"]), "on purpose") {
				return true
			}
		}
		return false
	})
	if got := get(t, client, "http://cairn/"); got.Status != 200 {
		t.Errorf("afterwards: %d", got.Status)
	}
}

func TestStreamsFlowAndEndWithTheClient(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	next, gone := make(chan string), make(chan struct{})
	r.target.handle(func(writer http.ResponseWriter, request *http.Request) {
		io.Copy(io.Discard, request.Body)
		writer.Header().Set("Content-Type", "text/event-stream")
		writer.WriteHeader(200)
		writer.(http.Flusher).Flush()
		for {
			select {
			case text := <-next:
				io.WriteString(writer, "data: "+text+"\n\n")
				writer.(http.Flusher).Flush()
			case <-request.Context().Done():
				close(gone)
				return
			}
		}
	})
	conn := dialRaw(t, client, r.ip()+":80")
	defer conn.Close()
	io.WriteString(conn, "POST /stream HTTP/1.1\r\nHost: cairn\r\nContent-Length: 2\r\n\r\n{}")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != 200 {
		t.Fatal(response, err)
	}
	reader := bufio.NewReader(response.Body)
	for _, text := range []string{"one", "two", "three"} {
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		next <- text
		if line, err := reader.ReadString('\n'); err != nil || line != "data: "+text+"\n" {
			t.Fatalf("got %q %v", line, err)
		}
		reader.ReadString('\n')
	}
	conn.Close()
	select {
	case <-gone:
	case <-time.After(time.Second):
		t.Error("the target still writes a second after the client left")
	}
}

func TestUpgradeIsForwarded(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	r.target.handle(echoUpgrade)
	conn := dialRaw(t, client, r.ip()+":80")
	defer conn.Close()
	reader := upgrade(t, conn)
	io.WriteString(conn, "ping\n")
	if line, err := reader.ReadString('\n'); err != nil || line != "ping\n" {
		t.Errorf("got %q %v", line, err)
	}
	var result DropResult
	r.must("drop", DropParams{Callers: []string{client.ID}}, &result)
	conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := reader.ReadByte(); err == nil || result.Closed != 1 {
		t.Errorf("after drop (%d closed) the upgraded connection is open", result.Closed)
	}
}

// A client may send its first message in one write with the request, or while it waits for the response.
func TestWhatComesWithAnUpgradeIsForwarded(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	for name, wait := range map[string]time.Duration{"in one write": 0, "before the response": 200 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			r.target.handle(func(writer http.ResponseWriter, request *http.Request) {
				time.Sleep(2 * wait)
				echoUpgrade(writer, request)
			})
			conn := dialRaw(t, client, r.ip()+":80")
			defer conn.Close()
			first := strings.Repeat("x", 3000) + "\n"
			request := "GET /ws HTTP/1.1\r\nHost: cairn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
			if wait == 0 {
				io.WriteString(conn, request+first)
			} else {
				io.WriteString(conn, request)
				time.Sleep(wait)
				io.WriteString(conn, first)
			}
			conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			reader := bufio.NewReader(conn)
			if response, err := http.ReadResponse(reader, nil); err != nil || response.StatusCode != 101 {
				t.Fatal(response, err)
			}
			io.WriteString(conn, "second\n")
			for _, want := range []string{first, "second\n"} {
				if line, err := reader.ReadString('\n'); err != nil || line != want {
					t.Fatalf("got %d bytes %v, not %d", len(line), err, len(want))
				}
			}
		})
	}
}

// echoUpgrade replies 101 and echoes what it receives.
func echoUpgrade(writer http.ResponseWriter, request *http.Request) {
	conn, buffered, err := http.NewResponseController(writer).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	io.Copy(conn, buffered)
}

func upgrade(t *testing.T, conn net.Conn) *bufio.Reader {
	t.Helper()
	io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: cairn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(response, err)
	}
	return reader
}
