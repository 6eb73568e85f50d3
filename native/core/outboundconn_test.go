// Tests of connections over the host's network that are no requests: the same addresses are refused, TLS is verified,
// and a proxy is used as by requests.

package core

import (
	"bufio"
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
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startGreeter listens, greets each connection and echoes a line; with a certificate over TLS.
func startGreeter(t *testing.T, certificate *tls.Certificate) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if certificate != nil {
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{*certificate}})
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.WriteString(conn, "220 hello\n")
				line, _ := bufio.NewReader(conn).ReadString('\n')
				io.WriteString(conn, line)
			}()
		}
	}()
	return listener.Addr().String()
}

func outboundFor(t *testing.T, proxy *outboundProxy, roots *x509.CertPool, allow ...string) *outbound {
	t.Helper()
	rules, err := parseOutboundRules(allow)
	if err != nil {
		t.Fatal(err)
	}
	guard := newOutboundGuard(rules)
	guard.lookUp = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	way := newOutbound(&Node{emit: func(any) {}, secrets: &redactor{}}, guard, proxy, roots)
	t.Cleanup(way.close)
	return way
}

// talk reads the greeting, sends a line and returns what came.
func talk(t *testing.T, conn net.Conn) string {
	t.Helper()
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(conn, "line\n")
	text, _ := io.ReadAll(conn)
	return string(text)
}

func TestConnectionsOfTheHostsNetwork(t *testing.T) {
	certificate, roots := selfSigned(t, "smtp.example.com")
	plain, secure := startGreeter(t, nil), startGreeter(t, &certificate)
	_, plainPort, _ := net.SplitHostPort(plain)
	_, securePort, _ := net.SplitHostPort(secure)
	way := outboundFor(t, nil, roots, "smtp.example.com")
	for port, isSecure := range map[string]bool{plainPort: false, securePort: true} {
		conn, err := way.open(t.Context(), "smtp.example.com:"+port, isSecure)
		if err != nil {
			t.Fatal(isSecure, err)
		}
		if got := talk(t, conn); got != "220 hello\nline\n" {
			t.Errorf("%v: %q", isSecure, got)
		}
	}
	refused := (*outboundRefused)(nil)
	for _, target := range []string{"other.example:" + plainPort, plain, "10.0.0.1:465", "no port", "smtp.example.com:0"} {
		for _, isSecure := range []bool{false, true} {
			if conn, err := way.open(t.Context(), target, isSecure); !errors.As(err, &refused) {
				t.Errorf("%s %v: %v %v", target, isSecure, conn, err)
			}
		}
	}
	// A public address that is not listed may be dialed with TLS only. No connection is made: the time is over.
	over, end := context.WithCancel(t.Context())
	end()
	for _, isSecure := range []bool{false, true} {
		if _, err := way.open(over, "8.8.8.8:465", isSecure); err == nil || errors.As(err, &refused) == isSecure {
			t.Errorf("a public address, with TLS %v: %v", isSecure, err)
		}
	}
	wrong := (*tls.CertificateVerificationError)(nil)
	if _, err := outboundFor(t, nil, roots, "other.example").open(t.Context(), "other.example:"+securePort, true); !errors.As(err, &wrong) {
		t.Errorf("a certificate of another name: %v", err)
	}
	if _, err := outboundFor(t, nil, nil, "smtp.example.com").open(t.Context(), "smtp.example.com:"+securePort, true); !errors.As(err, &wrong) {
		t.Errorf("a certificate of nobody: %v", err)
	}
	silent, _ := net.Listen("tcp", "127.0.0.1:0")
	defer silent.Close()
	_, silentPort, _ := net.SplitHostPort(silent.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := way.open(ctx, "smtp.example.com:"+silentPort, true); err == nil {
		t.Error("a handshake that never ends")
	}
}

func TestConnectionsThroughTheProxy(t *testing.T) {
	certificate, roots := selfSigned(t, "smtp.example.com")
	greeter := startGreeter(t, &certificate)
	through := startConnectProxy(t, greeter)
	proxy, err := parseOutboundProxy(through.server.URL, "ann:secret")
	if err != nil {
		t.Fatal(err)
	}
	way := outboundFor(t, proxy, roots)
	conn, err := way.open(t.Context(), "smtp.example.com:465", true)
	if err != nil {
		t.Fatal(err)
	}
	if got := talk(t, conn); got != "220 hello\nline\n" {
		t.Errorf("%q", got)
	}
	if seen := through.taken(); len(seen) != 1 || seen[0] != "CONNECT smtp.example.com:465 Basic YW5uOnNlY3JldA==" {
		t.Errorf("the proxy saw %q", seen)
	}
	for _, target := range []string{"localhost:465", "10.0.0.1:465", "nas.local:465"} {
		if _, err := way.open(t.Context(), target, true); err == nil || len(through.taken()) != 0 {
			t.Errorf("%s: %v", target, err)
		}
	}
	if _, err := way.open(t.Context(), "smtp.example.com:25", false); err == nil || len(through.taken()) != 0 {
		t.Errorf("without TLS: %v", err)
	}
	// A public address is asked of the proxy, too, in its own form.
	if transport, err := way.http.transportFor(&url.URL{Scheme: "https", Host: "8.8.8.8:465"}); err != nil || transport != way.http.proxied {
		t.Errorf("a public address: %v", err)
	}
	if _, err := way.open(t.Context(), "[::ffff:8.8.8.8]:465", true); err == nil || !strings.Contains(err.Error(), "write the address itself") {
		t.Errorf("a mapped address: %v", err)
	}
	// What is listed by its name is reached directly.
	_, port, _ := net.SplitHostPort(greeter)
	conn, err = outboundFor(t, proxy, roots, "smtp.example.com").open(t.Context(), "smtp.example.com:"+port, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := talk(t, conn); got != "220 hello\nline\n" || len(through.taken()) != 0 {
		t.Errorf("what is listed: %q", got)
	}
	through.status = http.StatusForbidden
	denied := (*proxyRefused)(nil)
	if _, err := way.open(t.Context(), "smtp.example.com:465", true); !errors.As(err, &denied) {
		t.Errorf("a proxy that refuses: %v", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	go func() {
		for _, answer := range []string{"", "no HTTP\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nHTTP"} {
			if conn, err := silent.Accept(); err == nil {
				_, _ = http.ReadRequest(bufio.NewReader(conn))
				io.WriteString(conn, answer)
				conn.Close()
			}
		}
	}()
	strange := &outboundProxy{address: silent.Addr().String()}
	for range 2 {
		operation := (*net.OpError)(nil)
		if _, err := strange.dial(t.Context(), "smtp.example.com:465"); !errors.As(err, &operation) || operation.Op != "proxyconnect" {
			t.Errorf("a proxy that does not answer in HTTP: %v", err)
		}
	}
	if _, err := strange.dial(t.Context(), "smtp.example.com:465"); err == nil || !strings.Contains(err.Error(), "sent bytes before") {
		t.Errorf("a proxy that says more than was asked: %v", err)
	}
	through.server.Close()
	if _, err := way.open(t.Context(), "smtp.example.com:465", true); err == nil {
		t.Error("a proxy that is gone")
	}
}

func TestAsManyBytesAsAreAllowedCanBeRead(t *testing.T) {
	for left, want := range map[int64]error{5: nil, 4: errOutboundTooLarge} {
		ours, theirs := net.Pipe()
		go func() {
			io.WriteString(theirs, "whole")
			theirs.Close()
		}()
		text, err := io.ReadAll(&limitedConn{Conn: ours, left: left})
		if err != want || (err == nil) != (string(text) == "whole") {
			t.Errorf("a connection with 5 bytes where %d are allowed: %q, %v", left, text, err)
		}
		body := &limitedBody{ReadCloser: io.NopCloser(strings.NewReader("whole")), left: left}
		if text, err := io.ReadAll(body); err != want || (err == nil) != (string(text) == "whole") {
			t.Errorf("a body of 5 bytes where %d are allowed: %q, %v", left, text, err)
		}
	}
}

func TestConnectOfTheHostsNetwork(t *testing.T) {
	plain := startGreeter(t, nil)
	node := &Node{params: UpParams{EgressSecret: "secret"}, emit: func(any) {}, secrets: &redactor{}, ctx: t.Context()}
	e := &egress{node: node, outbound: outboundFor(t, nil, nil, plain)}
	server := httptest.NewUnstartedServer(e)
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "e.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server.Listener = listener
	server.Start()
	defer server.Close()
	connect := func(target, more string) (*http.Response, string) {
		conn, err := net.Dial("unix", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s: secret\r\n%s: host\r\n%s\r\n", target, target,
			headerSecret, headerNetwork, more)
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != 200 {
			return response, ""
		}
		io.WriteString(conn, "line\n")
		text, _ := io.ReadAll(reader)
		return response, string(text)
	}
	if response, text := connect(plain, ""); response.StatusCode != 200 || text != "220 hello\nline\n" {
		t.Errorf("%v %q", response, text)
	}
	response, _ := connect("127.0.0.1:1", "")
	if response.StatusCode != 403 || response.Header.Get(headerRefusal) != "outbound_refused" {
		t.Errorf("an address that is not listed: %v", response)
	}
	response, _ = connect(plain, headerScheme+": ftp\r\n")
	if response.StatusCode != 400 || !strings.HasPrefix(response.Header.Get(headerRefusal), "bad_request") {
		t.Errorf("another scheme: %v", response)
	}
}
