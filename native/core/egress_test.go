// Tests of egress over real WireGuard, and of the dial guard: no listener sees what is refused.

package core

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cairn.internal/native/tailnettest"
	"tailscale.com/ipn/ipnstate"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// egressClient returns an HTTP client for egress.sock, as TypeScript uses it.
func (r *rig) egressClient() *http.Client {
	path := filepath.Join(r.params.SocketDir, "egress.sock")
	return &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
		DisableKeepAlives: true,
	}}
}

func (r *rig) fetch(t *testing.T, method, host, path string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequest(method, "http://egress"+path, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	request.Header.Set(headerSecret, r.params.EgressSecret)
	for index := 0; index < len(headers); index += 2 {
		request.Header.Set(headers[index], headers[index+1])
	}
	response, err := r.egressClient().Do(request)
	if err != nil {
		t.Fatalf("%s: %v", host, err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	got := answer{Status: response.StatusCode, Header: response.Header, Body: string(body)}
	_ = json.Unmarshal(body, &got)
	return got
}

// connect opens a CONNECT tunnel and returns its status code and the connection.
func (r *rig) connect(t *testing.T, target string) (int, net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(r.params.SocketDir, "egress.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nCairn-Internal-Secret: %s\r\n\r\n", target, target,
		r.params.EgressSecret)
	reader := bufio.NewReader(conn)
	conn.SetReadDeadline(time.Now().Add(15 * time.Second))
	response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
	if err != nil {
		t.Fatalf("CONNECT %s: %v", target, err)
	}
	return response.StatusCode, conn, reader
}

func TestEgressReachesPeers(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	peer := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "peer"})
	if err := peer.Serve(8080); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(r.params.SocketDir, "egress.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("egress.sock: %v %v", info, err)
	}
	hosts := []string{
		"peer",
		"PEER",
		"peer." + tailnettest.Domain,
		"peer." + tailnettest.Domain + ".",
		peer.IPs[0].String(),
		"[" + peer.IPs[1].String() + "]",
		"[::ffff:" + peer.IPs[0].String() + "]",
	}
	for _, host := range hosts {
		got := r.fetch(t, "POST", host+":8080", "/a%2Fb?c=1;d", "X-Mine", "kept", "X-Forwarded-For", "untrue",
			"X-Forge-Refusal", "dial_refused")
		if got.Status != 200 || got.Sent != "body" || !strings.Contains(got.Body, "X-Mine") {
			t.Fatalf("%s: %d %s", host, got.Status, got.Body)
		}
		if refusal := got.Header.Get(headerRefusal); refusal != "" {
			t.Errorf("%s: the peer forged the refusal %q", host, refusal)
		}
		if strings.Contains(got.Body, "Cairn-Internal") || strings.Contains(got.Body, r.params.EgressSecret) ||
			strings.Contains(got.Body, "untrue") {
			t.Errorf("%s: the peer saw %s", host, got.Body)
		}
		code, conn, reader := r.connect(t, host+":8080")
		if code != 200 {
			t.Fatalf("CONNECT %s: %d", host, code)
		}
		io.WriteString(conn, "GET /raw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if text, _ := io.ReadAll(reader); !strings.Contains(string(text), "/raw") {
			t.Errorf("through CONNECT %s: %s", host, text)
		}
	}
	if got := r.fetch(t, "GET", "peer:9", "/"); got.Status != 502 || got.Code != "dial_failed" ||
		got.Header.Get(headerRefusal) != got.Code {
		t.Errorf("closed port: %d %s", got.Status, got.Body)
	}
	breaks, err := peer.Server().Listen("tcp", ":8081")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := breaks.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			conn.Close()
		}
	}()
	if got := r.fetch(t, "POST", "peer:8081", "/"); got.Status != 502 || got.Code != "exchange_failed" ||
		got.Header.Get(headerRefusal) != got.Code {
		t.Errorf("a connection that breaks behind the request: %d %s", got.Status, got.Body)
	}
	for _, secret := range []string{"", "wrong", r.params.IngressSecret} {
		if got := r.fetch(t, "GET", "peer:8080", "/", headerSecret, secret); got.Status != 403 || got.Code != "bad_secret" ||
			got.Header.Get(headerRefusal) != got.Code {
			t.Errorf("secret %q: %d %s", secret, got.Status, got.Body)
		}
	}
	if got := r.fetch(t, "GET", "peer:8080", "/", headerScheme, "ftp"); got.Status != 400 {
		t.Errorf("scheme ftp: %d", got.Status)
	}
	if err := tailnet.Remove("peer"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a removed peer is refused", 5*time.Second, func() bool {
		return r.fetch(t, "GET", "peer:8080", "/").Header.Get(headerRefusal) == "dial_refused" &&
			r.fetch(t, "GET", peer.IPs[0].String()+":8080", "/").Code == "dial_refused"
	})
}

func TestEgressSpeaksTLSToPeers(t *testing.T) {
	tailnet := startTailnet(t)
	name := "peer." + tailnettest.Domain
	certificate, roots := selfSigned(t, name)
	r := startRig(t, tailnet, rigOptions{options: Options{Egress: &EgressTrust{Roots: roots}}})
	peer := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "peer"})
	listener, err := peer.Server().Listen("tcp", ":443")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		Handler: http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			fmt.Fprintf(writer, `{"path":%q,"host":%q}`, request.URL.Path, request.Proto+" "+request.TLS.ServerName)
		}),
	}
	go server.ServeTLS(listener, "", "")
	t.Cleanup(func() { server.Close() })
	if got := r.fetch(t, "GET", name, "/secure", headerScheme, "https"); got.Status != 200 || got.Path != "/secure" ||
		got.Host != "HTTP/2.0 "+name {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
	if got := r.fetch(t, "GET", "peer", "/secure", headerScheme, "https"); got.Status != 502 {
		t.Errorf("a certificate for another name was taken: %d %s", got.Status, got.Body)
	}
}

// startCanary listens on the host and counts the connections.
func startCanary(t *testing.T, address string) (port string, count *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	count = &atomic.Int64{}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			conn.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port, count
}

func TestDialGuardRefuses(t *testing.T) {
	tailnet := startTailnet(t)
	r := startRig(t, tailnet, rigOptions{})
	port, count := startCanary(t, "127.0.0.1:0")
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	eventually(t, "the canary counts", time.Second, func() bool { return count.Load() == 1 })

	hosts := []string{
		"127.0.0.1",
		"127.1",
		"127.0.0.2",
		"2130706433",
		"0x7f000001",
		"0177.0.0.1",
		"0.0.0.0",
		"[::1]",
		"[::]",
		"[::ffff:127.0.0.1]",
		"[::ffff:7f00:1]",
		"[64:ff9b::7f00:1]",
		"[fe80::1]",
		"[fe80::1%25lo]",
		"localhost",
		"localhost.",
		"LOCALHOST",
		"ip6-localhost",
		"127.0.0.1.nip.io",
		"metadata.google.internal",
		"169.254.169.254",
		"10.0.0.1",
		"192.168.1.1",
		"172.16.0.1",
		"8.8.8.8",
		"[2606:4700::1111]",
		"example.com",
		"100.100.100.100",
		"[fd7a:115c:a1e0::53]",
		"100.99.99.99",
		"100.64.99.99",
		"[fd7a:115c:a1e0::dead]",
		"[fd7a:115c:a1e0:b1a:0:1:7f00:1]",
		"[fd00::1]",
		"224.0.0.1",
		"255.255.255.255",
		"[ff02::1]",
		"cairn",
		"CAIRN",
		"cairn." + tailnettest.Domain,
		r.ip(),
		"[::ffff:" + r.ip() + "]",
		"peer.elsewhere.example",
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	addrs, _ := net.InterfaceAddrs()
	for _, addr := range addrs {
		if prefix, err := netip.ParsePrefix(addr.String()); err == nil && prefix.Addr().Is4() {
			hosts = append(hosts, prefix.Addr().String())
		}
	}
	for _, host := range hosts {
		if code, conn, _ := r.connect(t, host+":"+port); code != 403 && code != 400 {
			t.Errorf("CONNECT %s: %d", host, code)
			conn.Close()
		}
		if strings.Contains(host, "%") {
			continue // not a valid Host header
		}
		if got := r.fetch(t, "GET", host+":"+port, "/"); got.Status != 403 || got.Code != "dial_refused" || got.Hint == "" {
			t.Errorf("GET %s: %d %s", host, got.Status, got.Body)
		}
	}
	for _, target := range []string{"peer", "peer:0", "peer:65536", "peer:http", ":80", "100.64.0.1:80:80"} {
		if code, _, _ := r.connect(t, target); code != 403 && code != 400 {
			t.Errorf("CONNECT %s: %d", target, code)
		}
	}
	// Even behind the guard nothing uses the host's network: the last step knows only the tailnet's stack.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if conn, err := r.node().engine.dialTailnet(ctx, netip.MustParseAddrPort("127.0.0.1:"+port)); err == nil {
		conn.Close()
		t.Error("the tailnet's stack reached the host's loopback")
	}
	if count.Load() != 1 {
		t.Errorf("the canary saw %d connections", count.Load()-1)
	}
}

func TestServicesAndExtraRecords(t *testing.T) {
	service := netip.MustParseAddr("100.64.9.9")
	status := &ipnstate.Status{
		Self:           &ipnstate.PeerStatus{ID: "nSELF", DNSName: "cairn.tail1234.ts.net."},
		TailscaleIPs:   []netip.Addr{netip.MustParseAddr("100.64.0.1")},
		CurrentTailnet: &ipnstate.TailnetStatus{MagicDNSSuffix: "tail1234.ts.net"},
		ExtraRecords: []tailcfg.DNSRecord{
			{Name: "nas.tail1234.ts.net.", Value: "192.168.1.9"},
			{Name: "cairn.tail1234.ts.net.", Value: "127.0.0.1"},
			{Name: "peer.tail1234.ts.net", Value: "127.0.0.1"},
		},
		Peer: map[key.NodePublic]*ipnstate.PeerStatus{
			key.NewNode().Public(): {
				DNSName:      "peer.tail1234.ts.net.",
				TailscaleIPs: []netip.Addr{netip.MustParseAddr("100.64.0.2")},
			},
		},
	}
	snapshot := newView(status, identityOf(status))
	snapshot.addName("memory", []netip.Addr{service})
	snapshot.services[service] = true
	node := &Node{}
	node.view.current = snapshot
	if to, err := node.resolve(t.Context(), "memory:443"); err != nil || to.String() != "100.64.9.9:443" {
		t.Errorf("service by name: %v %v", to, err)
	}
	if to, err := node.resolve(t.Context(), "100.64.9.9:443"); err != nil || to.Addr() != service {
		t.Errorf("service by address: %v %v", to, err)
	}
	for _, target := range []string{"nas.tail1234.ts.net:80", "cairn.tail1234.ts.net:80"} {
		var refused *dialRefused
		if to, err := node.resolve(t.Context(), target); !errors.As(err, &refused) {
			t.Errorf("%s: %v %v", target, to, err)
		}
	}
	if addrs := snapshot.names["peer.tail1234.ts.net"]; len(addrs) != 1 || addrs[0].String() != "100.64.0.2" {
		t.Errorf("a record replaced the name of a peer: %v", addrs)
	}
}

// selfSigned returns a certificate for a name, and the roots that trust it.
func selfSigned(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	certificate, leaf := makeCertificate(t, name)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return certificate, roots
}

func TestOnlyAddressesOfTheTailnetAreDialed(t *testing.T) {
	own, service := netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("10.1.2.3")
	known := &view{selfIPs: map[netip.Addr]bool{own: true}, services: map[netip.Addr]bool{service: true}}
	for text, want := range map[string]bool{
		"100.64.0.9": true, "fd7a:115c:a1e0::9": true, "10.1.2.3": true,
		"100.64.0.1":               false, // this node
		"100.100.100.100":          false, // the resolver
		"fd7a:115c:a1e0::53":       false,
		"fd7a:115c:a1e0:b1a:0:7::": false, // leads out of the tailnet
		"127.0.0.1":                false, "::1": false, "0.0.0.0": false, "::": false, "169.254.1.1": false, "224.0.0.1": false,
		"8.8.8.8": false, "10.1.2.4": false, "192.168.0.1": false, "2001:db8::1": false,
	} {
		if why := known.refuseAddr(netip.MustParseAddr(text)); (why == "") != want {
			t.Errorf("%s: refused because %q", text, why)
		}
	}
}
