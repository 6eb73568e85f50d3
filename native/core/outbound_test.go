// Tests of requests over the host's network: which destinations are allowed, and that refused ones see no connection.

package core

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// outboundTo sends a request through a guard with these rules and returns the status, code and text of the response.
func outboundTo(t *testing.T, roots *x509.CertPool, allow []string,
	names map[string]string) func(method, scheme, host, body string) answer {
	t.Helper()
	return outboundBy(t, nil, roots, allow, names)
}

// outboundBy does the same with a proxy; nil: none.
func outboundBy(t *testing.T, proxy *outboundProxy, roots *x509.CertPool, allow []string,
	names map[string]string) func(method, scheme, host, body string) answer {
	t.Helper()
	rules, err := parseOutboundRules(allow)
	if err != nil {
		t.Fatal(err)
	}
	guard := newOutboundGuard(rules)
	guard.lookUp = func(_ context.Context, host string) (addrs []netip.Addr, err error) {
		for _, text := range strings.Fields(names[host]) {
			addrs = append(addrs, netip.MustParseAddr(text))
		}
		return addrs, nil
	}
	node := &Node{emit: func(any) {}, secrets: &redactor{}}
	way := newOutbound(node, guard, proxy, roots)
	server := httptest.NewServer(http.HandlerFunc(way.serve))
	t.Cleanup(func() { way.close(); server.Close() })
	return func(method, scheme, host, body string) answer {
		request, err := http.NewRequest(method, server.URL+"/a%2Fb?c=%20", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		request.Header.Set(headerScheme, scheme)
		request.Header.Set(headerSecret, "not for outside")
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		response, err := client.Do(request)
		if err != nil {
			return answer{Body: err.Error()}
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			return answer{Status: response.StatusCode, Body: err.Error()}
		}
		return answer{
			Status: response.StatusCode,
			Header: response.Header,
			Body:   string(text),
			Code:   response.Header.Get(headerRefusal),
		}
	}
}

// startCanaries listens on every local address, on one port.
func startCanaries(t *testing.T) (port string, seen func() int64) {
	t.Helper()
	port, count := startCanary(t, "0.0.0.0:0")
	listener, err := net.Listen("tcp6", "[::1]:"+port)
	if err != nil {
		return port, count.Load // no IPv6 here
	}
	listener.Close()
	_, six := startCanary(t, "[::1]:"+port)
	return port, func() int64 { return count.Load() + six.Load() }
}

func TestOutboundRefusesNonPublicAddresses(t *testing.T) {
	port, seen := startCanaries(t)
	names := map[string]string{
		"loop.example": "127.0.0.1", "loop6.example": "::1", "mapped.example": "::ffff:127.0.0.1", "nat64.example": "64:ff9b::7f00:1",
		"six.example": "2002:7f00:1::1", "teredo.example": "2001:0:7f00:1::", "private.example": "10.0.0.1 192.168.1.1", "meta.example": "169.254.169.254",
		"127.1": "127.0.0.1", "2130706433": "127.0.0.1", "0x7f000001": "127.0.0.1", "localhost": "127.0.0.1 ::1", "localhost.": "127.0.0.1",
	}
	send := outboundTo(t, nil, nil, names)
	hosts := []string{
		"127.0.0.1",
		"127.0.0.2",
		"0.0.0.0",
		"10.0.0.1",
		"100.64.0.1",
		"100.100.100.100",
		"169.254.169.254",
		"172.16.0.1",
		"192.168.1.1",
		"192.0.2.1",
		"198.18.0.1",
		"203.0.113.1",
		"224.0.0.1",
		"240.0.0.1",
		"255.255.255.255",
		"[::1]",
		"[::]",
		"[::ffff:127.0.0.1]",
		"[::ffff:8.8.8.8]",
		"[::127.0.0.1]",
		"[64:ff9b::7f00:1]",
		"[64:ff9b:1::7f00:1]",
		"[fe80::1]",
		"[fd00::1]",
		"[fd7a:115c:a1e0::1]",
		"[ff02::1]",
		"[2001:db8::1]",
		"[2001::1]",
		"[2002:7f00:1::]",
		"[3fff::1]",
		"[100::1]",
	}
	for name := range names {
		hosts = append(hosts, name)
	}
	for _, addr := range interfaceAddrs() {
		if addr.Zone() == "" {
			host, _, _ := net.SplitHostPort(netip.AddrPortFrom(addr, 1).String())
			hosts = append(hosts, map[bool]string{true: host, false: "[" + host + "]"}[addr.Is4()])
		}
	}
	for _, scheme := range []string{"https", "http"} {
		for _, host := range hosts {
			if got := send("GET", scheme, host+":"+port, ""); got.Status != 403 || got.Code != "outbound_refused" ||
				!strings.Contains(got.Body, "outbound.allow") {
				t.Errorf("%s://%s: %d %s", scheme, host, got.Status, got.Body)
			}
		}
	}
	if seen() != 0 {
		t.Errorf("the canaries saw %d connections", seen())
	}
	// The canaries do see an allowed request.
	if got := outboundTo(t, nil, []string{"127.0.0.1"}, nil)("GET", "http", "127.0.0.1:"+port, ""); got.Status != 502 ||
		seen() == 0 {
		t.Errorf("what is listed was not dialed: %d %s", got.Status, got.Body)
	}
}

func TestOutboundChecksTheAddressAtConnect(t *testing.T) {
	port, seen := startCanaries(t)
	guard := newOutboundGuard(nil)
	if conn, err := guard.dialLiteral(t.Context(), "public.example", netip.MustParseAddrPort("127.0.0.1:"+port), false); err == nil {
		conn.Close()
		t.Error("the last step dialed a loopback address")
	} else if refused := (*outboundRefused)(nil); !errors.As(err, &refused) {
		t.Errorf("refused for another reason: %v", err)
	}
	if seen() != 0 {
		t.Errorf("the canary saw %d connections", seen())
	}
	own := newOutboundGuard(nil)
	own.ownAddrs = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("8.8.4.4")} }
	if err := own.admit("x", netip.MustParseAddrPort("8.8.4.4:443"), false); err == nil {
		t.Error("a public address of this machine was let through")
	}
	if err := own.admit("x", netip.MustParseAddrPort("8.8.8.8:443"), false); err != nil {
		t.Errorf("a public address: %v", err)
	}
	if err := own.admit("x", netip.MustParseAddrPort("[2606:4700::1111]:443"), false); err != nil {
		t.Errorf("a public address: %v", err)
	}
	if err := own.admit("x", netip.MustParseAddrPort("8.8.8.8:80"), true); err == nil {
		t.Error("plain http went to a place that is not listed")
	}
}

func TestOutboundAllow(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		writer.Header().Set(headerRefusal, "forged")
		body, _ := io.ReadAll(request.Body)
		fmt.Fprintf(writer, "%s %s %s %v", request.URL.RequestURI(), request.Host, body, request.Header)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	port := host[strings.LastIndex(host, ":")+1:]
	names := map[string]string{"minio.lan": "127.0.0.1"}
	for _, rule := range []string{"127.0.0.1:" + port, "127.0.0.1", "127.0.0.0/8", "127.0.0.0/8:" + port} {
		got := outboundTo(t, nil, []string{"192.0.2.1", rule}, names)("PUT", "http", host, "body")
		if got.Status != 200 || got.Code != "" || !strings.HasPrefix(got.Body, "/a%2Fb?c=%20 "+host+" body ") ||
			strings.Contains(got.Body, "Cairn") {
			t.Errorf("%s: %d %s %s", rule, got.Status, got.Code, got.Body)
		}
	}
	if got := outboundTo(t, nil, []string{"MINIO.lan.:" + port}, names)("PUT", "http", "minio.lan:"+port, "body"); got.Status != 200 {
		t.Errorf("by name: %d %s", got.Status, got.Body)
	}
	// Another port, another name of the same address, and the address of a listed name are not listed.
	for _, rule := range []string{"127.0.0.1:1", "127.0.0.2", "other.lan", "minio.lan:" + port, "[::1]"} {
		if got := outboundTo(t, nil, []string{rule}, names)("GET", "http", host, ""); got.Status != 403 {
			t.Errorf("%s: %d %s", rule, got.Status, got.Body)
		}
	}
	for _, bad := range []string{"", ":80", "a b", "http://x", "x:0", "x:99999", "10.0.0.0/33", "[fe80::1%eth0]", "*.lan", "[minio]"} {
		if _, err := parseOutboundRules([]string{bad}); err == nil {
			t.Errorf("%q was taken as a rule", bad)
		}
	}
	for _, good := range []string{"[fd00::1]:9000", "[fd00::/8]", "[fd00::/8]:443", "minio", "10.1.2.3/8"} {
		if _, err := parseOutboundRules([]string{good}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestOutboundFollowsNoRedirectAndNoProxy(t *testing.T) {
	port, count := startCanary(t, "127.0.0.1:0")
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, "http://127.0.0.1:"+port)
	}
	server := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:"+port+"/", http.StatusFound))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	got := outboundTo(t, nil, []string{"127.0.0.1"}, nil)("GET", "http", host, "")
	if got.Status != 302 || got.Header.Get("Location") == "" || count.Load() != 0 {
		t.Errorf("%d %s, and the canary saw %d connections", got.Status, got.Body, count.Load())
	}
}

func TestOutboundVerifiesTLSAndBoundsBodies(t *testing.T) {
	certificate, roots := selfSigned(t, "s3.lan")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPost {
			io.Copy(writer, io.LimitReader(zeroReader{}, maxOutboundBytes+1))
			return
		}
		writer.Header().Set(headerCertificateEnds, "never")
		io.WriteString(writer, request.TLS.ServerName)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	port := server.URL[strings.LastIndex(server.URL, ":")+1:]
	names := map[string]string{"s3.lan": "127.0.0.1", "other.lan": "127.0.0.1"}
	send := outboundTo(t, roots, []string{"127.0.0.0/8"}, names)
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	ends := []string{leaf.NotAfter.UTC().Format(time.RFC3339)}
	if got := send("GET", "https", "s3.lan:"+port, ""); got.Status != 200 || got.Body != "s3.lan" ||
		!slices.Equal(got.Header.Values(headerCertificateEnds), ends) {
		t.Errorf("%d %s, which ends %v and not %v", got.Status, got.Body, got.Header.Values(headerCertificateEnds), ends)
	}
	if got := send("GET", "https", "other.lan:"+port, ""); got.Status != 502 || got.Code != "tls_failed" {
		t.Errorf("a certificate for another name: %d %s", got.Status, got.Body)
	}
	if got := outboundTo(t, nil, []string{"127.0.0.0/8"}, names)("GET", "https", "s3.lan:"+port, ""); got.Status != 502 ||
		got.Code != "tls_failed" {
		t.Errorf("a certificate that the system does not trust: %d %s", got.Status, got.Body)
	}
	if got := send("POST", "https", "s3.lan:"+port, ""); len(got.Body) > maxOutboundBytes {
		t.Errorf("an answer of %d bytes came through", len(got.Body))
	}
	if got := send("PUT", "https", "s3.lan:"+port, strings.Repeat("x", maxOutboundBytes+1)); got.Status != 413 &&
		got.Status != 0 {
		t.Errorf("a body over the bound: %d", got.Status)
	}
}

type zeroReader struct{}

func (zeroReader) Read(into []byte) (int, error) { clear(into); return len(into), nil }

func TestOutboundOverTheSocket(t *testing.T) {
	tailnet := startTailnet(t)
	destination := httptest.NewServer(
		http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) { io.WriteString(writer, "outside") }))
	defer destination.Close()
	host := strings.TrimPrefix(destination.URL, "http://")
	port, count := startCanary(t, "127.0.0.1:0")
	r := startRig(t, tailnet, rigOptions{change: func(params *UpParams) { params.OutboundAllow = []string{host} }})
	if got := r.fetch(t, "GET", host, "/", headerNetwork, "host"); got.Status != 200 || got.Body != "outside" {
		t.Errorf("listed: %d %s", got.Status, got.Body)
	}
	if got := r.fetch(t, "GET", "127.0.0.1:"+port, "/", headerNetwork, "host"); got.Status != 403 ||
		got.Code != "outbound_refused" ||
		got.Hint == "" {
		t.Errorf("not listed: %d %s", got.Status, got.Body)
	}
	// Without the header the listed destination is still refused, and with it a peer is.
	if got := r.fetch(t, "GET", host, "/"); got.Status != 403 || got.Code != "dial_refused" {
		t.Errorf("by the tailnet: %d %s", got.Status, got.Body)
	}
	if got := r.fetch(t, "GET", r.ip()+":80", "/", headerNetwork, "host"); got.Status != 403 ||
		got.Code != "outbound_refused" {
		t.Errorf("this node by the host's network: %d %s", got.Status, got.Body)
	}
	if got := r.fetch(t, "GET", host, "/", headerNetwork, "tailnet"); got.Status != 400 {
		t.Errorf("another network: %d", got.Status)
	}
	if got := r.fetch(t, "GET", host, "/", headerNetwork, "host", headerSecret, "wrong"); got.Status != 403 ||
		got.Code != "bad_secret" {
		t.Errorf("wrong secret: %d %s", got.Status, got.Body)
	}
	for _, target := range []string{"127.0.0.1:" + port, r.ip() + ":80", "10.0.0.1:25"} {
		for _, scheme := range []string{"http", "https"} {
			got := r.fetch(t, "CONNECT", target, "", headerNetwork, "host", headerScheme, scheme)
			if got.Status != 403 || got.Code != "outbound_refused" {
				t.Errorf("CONNECT %s %s left by the host's network: %d %s", scheme, target, got.Status, got.Body)
			}
		}
	}
	if count.Load() != 0 {
		t.Errorf("the canary saw %d connections", count.Load())
	}
	params := r.params
	params.OutboundAllow = []string{"no/rule"}
	if fault := openChannel(t, Options{}).call("up", params, nil); fault == nil || fault.Code != CodeBadRequest ||
		!strings.Contains(fault.Message, "outboundAllow") {
		t.Errorf("a rule that is none: %v", fault)
	}
}
