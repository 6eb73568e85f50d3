// A client's HTTP endpoints: a proxy on a unix socket through which another process acts as this node, and an echo
// server on its tailnet port.

package tailnettest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"tailscale.com/types/logger"
)

// Headers that control one request of the proxy; they are not forwarded.
const (
	HeaderScheme = "Tailnet-Scheme" // https: over TLS, without verifying the certificate
	HeaderDial   = "Tailnet-Dial"   // host:port to dial instead of Host
)

const maxEchoBytes = 8 << 20

// Proxy opens the unix socket of this client and returns its path. Requests go to their Host header, CONNECT opens a
// raw stream; nothing is refused or removed.
func (c *Client) Proxy() (string, error) {
	t := c.tailnet
	t.mu.Lock()
	path := filepath.Join(t.tempDir, fmt.Sprintf("%d.sock", len(t.dirs)))
	for number := len(t.dirs); exists(path); number++ {
		path = filepath.Join(t.tempDir, fmt.Sprintf("%d.sock", number))
	}
	listener, err := net.Listen("unix", path)
	t.mu.Unlock()
	if err != nil {
		return "", fmt.Errorf("no proxy socket for %s: %w", c.Hostname, err)
	}
	c.serve(listener, c.proxyHandler())
	return path, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Serve serves HTTP on that port of the client's tailnet addresses and echoes each request as JSON: method, path, host,
// headers, body.
func (c *Client) Serve(port int) error {
	listener, err := c.server.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return err
	}
	c.serve(listener, http.HandlerFunc(echo))
	return nil
}

// ServeFrom serves on that port of the client's tailnet addresses what responds on a loopback address.
func (c *Client) ServeFrom(port int, address string) error {
	listener, err := c.server.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return err
	}
	c.serve(listener, httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address}))
	return nil
}

func (c *Client) serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          logger.StdLogger(c.tailnet.logf),
	}
	c.tailnet.mu.Lock()
	c.doors = append(c.doors, server)
	c.tailnet.mu.Unlock()
	go server.Serve(listener) // ends when the client is closed
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxEchoBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if forged := r.Header.Get("X-Forge-Refusal"); forged != "" {
		w.Header().Set("Cairn-Internal-Refusal", forged)
	}
	answerJSON(w, map[string]any{
		"method": r.Method, "path": r.URL.RequestURI(), "host": r.Host, "headers": r.Header, "body": string(body),
	})
}

func (c *Client) proxyHandler() http.Handler {
	transport := c.HTTP.Transport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // names and certificates are the test's business
	c.tailnet.mu.Lock()
	c.doors = append(c.doors, idleCloser{transport})
	c.tailnet.mu.Unlock()
	forward := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      logger.StdLogger(c.tailnet.logf),
		Rewrite:       rewrite,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			http.Error(w, fmt.Sprintf("%s cannot reach %s: %v", c.Hostname, r.URL.Host, err), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			c.connect(w, r)
			return
		}
		// A response that comes before the end of the body: net/http would read the rest of the body itself, away from
		// the transport that is sending it, which then breaks off the response.
		_ = http.NewResponseController(w).EnableFullDuplex()
		forward.ServeHTTP(w, r)
	})
}

type idleCloser struct{ transport *http.Transport }

func (i idleCloser) Close() error { i.transport.CloseIdleConnections(); return nil }

// rewrite keeps headers that a proxy would normally remove, as tests send such headers on purpose.
func rewrite(pr *httputil.ProxyRequest) {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values := pr.In.Header.Values(name); len(values) > 0 {
			pr.Out.Header[name] = values
		}
	}
	if pr.Out.URL.Scheme == "" {
		pr.Out.URL.Scheme = "http"
	}
	if scheme := pr.In.Header.Get(HeaderScheme); scheme != "" {
		pr.Out.URL.Scheme = scheme
	}
	pr.Out.Host, pr.Out.URL.Host = pr.In.Host, pr.In.Host
	if target := pr.In.Header.Get(HeaderDial); target != "" {
		pr.Out.URL.Host = target
	}
	if _, ok := pr.In.Header["User-Agent"]; !ok {
		pr.Out.Header["User-Agent"] = nil
	}
	pr.Out.Header.Del(HeaderScheme)
	pr.Out.Header.Del(HeaderDial)
}

// connect joins the caller's stream with one to the named address.
func (c *Client) connect(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	remote, err := c.Dial(ctx, "tcp", r.Host)
	if err != nil {
		http.Error(w, fmt.Sprintf("%s cannot reach %s: %v", c.Hostname, r.Host, err), http.StatusBadGateway)
		return
	}
	defer remote.Close()
	local, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer local.Close()
	if _, err := io.WriteString(local, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { io.Copy(remote, buffered); closeWrite(remote) })
	both.Go(func() { io.Copy(local, remote); closeWrite(local) })
	both.Wait()
}

// closeWrite closes one direction; if the connection cannot do that, it closes both.
func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		return
	}
	conn.Close()
}
