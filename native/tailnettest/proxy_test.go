// Tests of a client's proxy: TLS behind it, responses in parts; and that certificates are offered to nodes.

package tailnettest

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tailscale.com/tailcfg"
)

func TestProxy(t *testing.T) {
	t.Parallel()
	tailnet := startTailnet(t)
	host := startClient(t, tailnet, ClientOptions{Hostname: "host"})
	guest := startClient(t, tailnet, ClientOptions{Hostname: "guest"})
	certificate, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := host.Server().Listen("tcp", ":443")
	if err != nil {
		t.Fatal(err)
	}
	more := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %v\n", r.Host, r.TLS != nil)
		http.NewResponseController(w).Flush()
		<-more
		io.WriteString(w, "more\n")
	})}
	defer server.Close()
	go server.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}}))

	socket, err := guest.Proxy()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequest("GET", "http://named.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(HeaderScheme, "https")
	request.Header.Set(HeaderDial, host.IPs[0].String()+":443")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	if !lines.Scan() || lines.Text() != "named.example true" {
		t.Fatalf("%d %q %v", response.StatusCode, lines.Text(), lines.Err())
	}
	close(more) // the first line came before the response had ended
	if !lines.Scan() || lines.Text() != "more" {
		t.Fatalf("%q %v", lines.Text(), lines.Err())
	}
}

func TestProxySendsEarlyAnswersWhole(t *testing.T) {
	t.Parallel()
	tailnet := startTailnet(t)
	host := startClient(t, tailnet, ClientOptions{Hostname: "host"})
	guest := startClient(t, tailnet, ClientOptions{Hostname: "guest"})
	listener, err := host.Server().Listen("tcp", ":81")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 60_000)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.WriteString(w, text)
		io.Copy(io.Discard, r.Body)
	})}
	defer server.Close()
	go server.Serve(listener)
	socket, err := guest.Proxy()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	reader := bufio.NewReader(conn)
	// Whether the body comes while the answer is sent is chance.
	for round := range 200 {
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s:81\r\nContent-Length: 2\r\n\r\n", host.IPs[0])
		time.Sleep(time.Duration(round%5) * time.Millisecond)
		io.WriteString(conn, "{}")
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(round, err)
		}
		if got, err := io.ReadAll(response.Body); err != nil || string(got) != text {
			t.Fatal(round, response.StatusCode, len(got), err)
		}
	}
}

func TestCertificatesAndFunnelAreOffered(t *testing.T) {
	t.Parallel()
	tailnet := startTailnet(t)
	node := startClient(t, tailnet, ClientOptions{Hostname: "node"})
	local, err := node.Server().LocalClient()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ https, funnel bool }{{false, false}, {true, false}, {true, true}, {false, false}} {
		tailnet.SetHTTPS(row.https, row.funnel)
		eventually(t, fmt.Sprintf("https %v, funnel %v", row.https, row.funnel), 5*time.Second, func() (string, bool) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			status, err := local.StatusWithoutPeers(ctx)
			if err != nil {
				return err.Error(), false
			}
			https, funnel := status.Self.HasCap(tailcfg.CapabilityHTTPS), status.Self.HasCap(tailcfg.NodeAttrFunnel)
			certified := slices.Contains(status.CertDomains, "node."+Domain)
			return fmt.Sprint(status.CertDomains, status.Self.CapMap),
				https == row.https && funnel == row.funnel && certified == row.https
		})
	}
}
