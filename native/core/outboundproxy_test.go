// Tests of requests through a CONNECT proxy: what goes through it, what goes directly, and what is refused before it.

package core

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// connectProxy is a small CONNECT proxy that reaches every name at one address.
type connectProxy struct {
	server *httptest.Server
	to     string
	status int // of the next answers, instead of a connection; 0: none
	mu     sync.Mutex
	seen   []string // method, target and Proxy-Authorization of every request
}

func startConnectProxy(t *testing.T, to string) *connectProxy {
	t.Helper()
	p := &connectProxy{to: to}
	p.server = httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		p.mu.Lock()
		p.seen = append(p.seen, request.Method+" "+request.Host+" "+request.Header.Get("Proxy-Authorization"))
		status := p.status
		p.mu.Unlock()
		if status != 0 || request.Method != http.MethodConnect {
			writer.WriteHeader(max(status, http.StatusBadRequest))
			return
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil {
			writer.WriteHeader(http.StatusBadGateway)
			return
		}
		near, _, err := http.NewResponseController(writer).Hijack()
		if err != nil {
			return
		}
		io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { io.Copy(far, near); far.Close() }()
		go func() { io.Copy(near, far); near.Close() }()
	}))
	t.Cleanup(p.server.Close)
	return p
}

// taken returns what the proxy saw since the last call.
func (p *connectProxy) taken() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	return seen
}

func TestOutboundProxy(t *testing.T) {
	certificate, roots := selfSigned(t, "s3.example.com")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		io.WriteString(writer, request.TLS.ServerName+" "+string(body)+request.Header.Get("Proxy-Authorization"))
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	defer server.Close()
	at := strings.TrimPrefix(server.URL, "https://")
	port := at[strings.LastIndex(at, ":")+1:]
	through := startConnectProxy(t, at)
	proxy, err := parseOutboundProxy(through.server.URL, "ann:secret")
	if err != nil {
		t.Fatal(err)
	}
	// The name is not known here: only the proxy resolves it. The proxy itself needs no entry in the list.
	send := outboundBy(t, proxy, roots, nil, nil)
	if got := send("PUT", "https", "s3.example.com:"+port, "body"); got.Status != 200 || got.Body != "s3.example.com body" {
		t.Errorf("by the proxy: %d %s", got.Status, got.Body)
	}
	if seen := through.taken(); len(seen) != 1 || seen[0] != "CONNECT s3.example.com:"+port+" Basic YW5uOnNlY3JldA==" {
		t.Errorf("the proxy saw %q", seen)
	}
	for _, host := range []string{
		"127.0.0.1:" + port, "10.0.0.1", "169.254.169.254", "100.100.100.100", "[::1]:" + port, "[fd00::1]",
		"[::ffff:10.0.0.1]", "localhost", "LOCALHOST.", "x.localhost", "minio", "nas.local", "metadata.google.internal",
		"box.home.arpa", "cairn.tail1.ts.net", "127.1", "2130706433", "0x7f000001", "a.0x7f.1", "1.2.3.0X4",
		"localhost..", "a.localhost..", "s3..example.com", "169.254.169.%32%35%34", ".example.com",
	} {
		if got := send("GET", "https", host, ""); got.Status != 403 || got.Code != "outbound_refused" {
			t.Errorf("https://%s: %d %s", host, got.Status, got.Body)
		}
	}
	if got := send("GET", "http", "s3.example.com", ""); got.Code == "" {
		t.Errorf("plain http: %d %s", got.Status, got.Body)
	}
	if seen := through.taken(); len(seen) != 0 {
		t.Errorf("the proxy saw what is refused: %q", seen)
	}
	// What is listed by its name, or by its literal address, is reached directly.
	direct := outboundBy(t, proxy, roots, []string{"s3.example.com"}, map[string]string{"s3.example.com": "127.0.0.1"})
	if got := direct("GET", "https", "s3.example.com:"+port, ""); got.Status != 200 || len(through.taken()) != 0 {
		t.Errorf("a listed name: %d %s", got.Status, got.Body)
	}
	byAddress := outboundBy(t, proxy, roots, []string{"127.0.0.0/8"}, map[string]string{"s3.example.com": "127.0.0.1"})
	if got := byAddress("GET", "https", at, ""); got.Code != "tls_failed" || len(through.taken()) != 0 {
		t.Errorf("a listed address: %d %s %s", got.Status, got.Code, got.Body)
	}
	if got := byAddress("GET", "https", "s3.example.com:"+port, ""); got.Status != 200 || len(through.taken()) != 1 {
		t.Errorf("a name of a listed network: %d %s", got.Status, got.Body)
	}
}

func TestOutboundProxyFailures(t *testing.T) {
	through := startConnectProxy(t, "127.0.0.1:1")
	proxy, err := parseOutboundProxy(through.server.URL+"/", "ann:secret")
	if err != nil {
		t.Fatal(err)
	}
	send := outboundBy(t, proxy, nil, nil, nil)
	for _, row := range []struct {
		status     int
		code, hint string
	}{
		{407, "proxy_refused", "CAIRN_OUTBOUND_PROXY_CREDENTIALS"},
		{403, "proxy_refused", "outbound.allow"},
		{0, "exchange_failed", "outbound.allow"},
	} {
		through.status = row.status
		got := send("PUT", "https", "s3.example.com", "body")
		if got.Status != 502 || got.Code != row.code || !strings.Contains(got.Body, row.hint) ||
			!strings.Contains(got.Body, through.server.Listener.Addr().String()) || strings.Contains(got.Body, "secret") {
			t.Errorf("%d: %d %s %s", row.status, got.Status, got.Code, got.Body)
		}
	}
	through.server.Close()
	if got := send("GET", "https", "s3.example.com", ""); got.Code != "exchange_failed" && got.Code != "dial_failed" ||
		!strings.Contains(got.Body, "outbound.proxy") {
		t.Errorf("no proxy there: %d %s %s", got.Status, got.Code, got.Body)
	}
	for _, bad := range []string{
		"https://p:1", "http://p", "p:3128", "http://u:p@p:1", "http://p:1/x", "http://p:1?x", "socks5://p:1", "http://:1",
	} {
		if _, err := parseOutboundProxy(bad, ""); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if none, err := parseOutboundProxy("", "ann:secret"); none != nil || err != nil {
		t.Errorf("without a proxy: %v %v", none, err)
	}
}
