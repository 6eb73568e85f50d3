// Egress: HTTP and CONNECT on egress.sock towards peers. The dial guard checks each dial.

package core

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const maxEgressConnections = 1024

// EgressTrust holds the roots that certificates of https peers must chain to.
type EgressTrust struct{ Roots *x509.CertPool }

type egress struct {
	node      *Node
	path      string
	listener  net.Listener
	server    *http.Server
	transport *http.Transport
	grpc      *http.Transport // to peers, HTTP/2 alone, also without TLS
	proxy     *httputil.ReverseProxy
	outbound  *outbound
	dialed    sync.Map // *dialedConn → struct{}: connections to peers, during and after the dial
	tunnels   sync.Map // net.Conn → struct{}: the client side of CONNECT, closed with the node
}

func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// newEgress creates the socket; serve starts to accept connections.
func newEgress(node *Node) (*egress, error) {
	e := &egress{node: node, path: filepath.Join(node.params.SocketDir, "egress.sock")}
	listener, err := listenPrivate(e.path)
	if err != nil {
		return nil, err
	}
	rules, err := parseOutboundRules(node.params.OutboundAllow)
	if err != nil {
		listener.Close()
		return nil, badRequest("outboundAllow: %v", err)
	}
	proxy, err := parseOutboundProxy(node.params.OutboundProxy, node.params.OutboundProxyAuth)
	if err != nil {
		listener.Close()
		return nil, badRequest("outboundProxy: %v", err)
	}
	var roots *x509.CertPool
	if trust := node.options.Egress; trust != nil {
		roots = trust.Roots
	}
	e.listener = &boundedListener{Listener: listener, slots: make(chan struct{}, maxEgressConnections)}
	e.transport = e.newTransport(roots)
	e.grpc = e.newTransport(roots)
	e.grpc.Protocols = onlyHTTP2()
	e.proxy = e.newProxy()
	e.outbound = newOutbound(node, newOutboundGuard(rules), proxy, roots)
	e.server = &http.Server{
		ReadHeaderTimeout: readHeaderTimeout, MaxHeaderBytes: maxHeaderBytes, DisableGeneralOptionsHandler: true,
		ErrorLog:    log.New(logWriter{node}, "", 0),
		BaseContext: func(net.Listener) context.Context { return node.ctx },
		Handler:     e,
	}
	return e, nil
}

// newTransport returns the transport to peers; the dial guard makes its connections.
func (e *egress) newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy: nil,
		DialContext: func(ctx context.Context, _, target string) (net.Conn, error) {
			return e.dial(ctx, target)
		},
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		ForceAttemptHTTP2:   true,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 32,
		MaxIdleConns:        256,
		IdleConnTimeout:     60 * time.Second,
		TLSHandshakeTimeout: dialTimeout,
	}
}

func (e *egress) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:   rewriteOutgoing,
		Transport: e.transport, FlushInterval: -1, BufferPool: &bufferPool{},
		// A peer must not make its answer look like a refusal of this process.
		ModifyResponse: func(response *http.Response) error {
			stripForgeable(response.Header)
			sayCertificate(response)
			return nil
		},
		ErrorLog: log.New(logWriter{e.node}, "", 0),
		ErrorHandler: func(writer http.ResponseWriter, request *http.Request, err error) {
			if request.Context().Err() == nil {
				writeDialProblem(writer, err)
			}
		},
	}
}

// rewriteOutgoing sends a request to the host it names, with the scheme of the internal header and without our headers.
func rewriteOutgoing(pr *httputil.ProxyRequest) {
	in := pr.In
	pr.Out.URL = &url.URL{Scheme: in.Header.Get(headerScheme), Host: in.Host,
		Path: in.URL.Path, RawPath: in.URL.RawPath, RawQuery: in.URL.RawQuery}
	pr.Out.Host = in.Host
	stripForgeable(pr.Out.Header)
}

// ServeHTTP checks secret, network and scheme, then forwards the request to a peer or over the host's network.
func (e *egress) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	secrets := request.Header.Values(headerSecret)
	if len(secrets) != 1 || !sameSecret(secrets[0], e.node.params.EgressSecret) {
		refuseEgress(writer, http.StatusForbidden, "bad_secret", "The request does not carry this node's egress secret.", "")
		return
	}
	badHeader := func(name, want, got string) {
		refuseEgress(writer, http.StatusBadRequest, "bad_request", fmt.Sprintf("%s must be %s, not %.40q.", name, want, got),
			"")
	}
	network := request.Header.Get(headerNetwork)
	if network != "" && network != "host" {
		badHeader(headerNetwork, "host", network)
		return
	}
	if request.Method == http.MethodConnect && network == "" {
		e.connect(writer, request, func() (net.Conn, error) { return e.dial(request.Context(), request.Host) }, writeDialProblem)
		return
	}
	scheme := request.Header.Get(headerScheme)
	if scheme == "" {
		scheme = "http"
		request.Header.Set(headerScheme, scheme)
	}
	switch {
	case scheme != "http" && scheme != "https":
		badHeader(headerScheme, "http or https", scheme)
	case network == "host" && request.Method == http.MethodConnect:
		open := func() (net.Conn, error) { return e.outbound.open(request.Context(), request.Host, scheme == "https") }
		e.connect(writer, request, open, func(writer http.ResponseWriter, err error) {
			writeOutboundProblem(writer, request, err)
		})
	case network == "host":
		e.outbound.serve(writer, request)
	case request.Header.Get(headerProtocol) == "grpc":
		request.Body = http.MaxBytesReader(writer, request.Body, maxOutboundBytes)
		ingest(writer, request, e.grpc, func(err error) { writeDialProblem(writer, err) })
	default:
		e.proxy.ServeHTTP(upgradable(writer, request), request)
	}
}

func (e *egress) serve() {
	goSafe("serving egress.sock", func(message string) { e.node.log("error", message) }, func() {
		if err := e.server.Serve(e.listener); e.node.ctx.Err() == nil {
			e.node.log("error", "serving egress.sock ended: "+err.Error())
		}
	})
}

func (e *egress) close() {
	e.server.Close()
	e.listener.Close()
	e.transport.CloseIdleConnections()
	e.grpc.CloseIdleConnections()
	e.outbound.close()
	e.tunnels.Range(func(conn, _ any) bool {
		conn.(net.Conn).Close()
		return true
	})
	e.dialed.Range(func(conn, _ any) bool {
		conn.(*dialedConn).terminate()
		return true
	})
	_ = os.Remove(e.path)
}

// connect opens a connection and copies bytes until both directions end.
func (e *egress) connect(writer http.ResponseWriter, request *http.Request, open func() (net.Conn, error),
	refuse func(http.ResponseWriter, error)) {
	far, err := open()
	if err != nil {
		refuse(writer, err)
		return
	}
	defer far.Close()
	near, buffered, err := http.NewResponseController(writer).Hijack()
	if err != nil {
		writeProblem(writer, http.StatusInternalServerError, "internal", "The connection cannot be hijacked.", "")
		return
	}
	defer near.Close()
	e.tunnels.Store(near, struct{}{})
	defer e.tunnels.Delete(near)
	if e.node.ctx.Err() != nil {
		return
	}
	_ = near.SetDeadline(time.Time{})
	if _, err := io.WriteString(near, "HTTP/1.1 200 Connection Established\r\n\r\n"); err != nil {
		return
	}
	done := make(chan struct{}, 2)
	copyTo := func(to net.Conn, from io.Reader) {
		goSafe("copying bytes of a CONNECT", func(message string) { e.node.log("error", message) }, func() {
			defer func() { done <- struct{}{} }()
			if _, err := io.Copy(to, from); err != nil {
				to.Close()
				return
			}
			_ = closeWrite(to)
		})
	}
	copyTo(far, buffered.Reader)
	copyTo(near, far)
	<-done
	<-done
}

// refuseEgress writes a problem of this process, marked as such.
func refuseEgress(writer http.ResponseWriter, status int, code, detail, hint string) {
	writer.Header().Set(headerRefusal, code)
	writeProblem(writer, status, code, detail, hint)
}

func writeDialProblem(writer http.ResponseWriter, err error) {
	var refused *dialRefused
	if errors.As(err, &refused) {
		refuseEgress(writer, http.StatusForbidden, "dial_refused", refused.Error()+".",
			"Only peers and services of this tailnet can be reached here.")
		return
	}
	writer.Header().Set("Retry-After", "1")
	var unconnected *dialFailed
	if errors.As(err, &unconnected) {
		refuseEgress(writer, http.StatusBadGateway, "dial_failed", strings.TrimSpace(err.Error()),
			"Check that the peer is online and that the policy allows this port.")
		return
	}
	refuseEgress(writer, http.StatusBadGateway, "exchange_failed", strings.TrimSpace(err.Error()),
		"The peer may have taken the request. See whether it did before it is sent again.")
}

// sameSecret compares in constant time, for any lengths.
func sameSecret(given, expected string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(expected))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// boundedListener delays Accept while too many connections are open.
type boundedListener struct {
	net.Listener
	slots chan struct{}
}

type boundedConn struct {
	net.Conn
	release func()
}

// Accept returns the next connection once there is room.
func (l *boundedListener) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &boundedConn{conn, sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close closes the connection and frees its slot.
func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// CloseWrite closes one direction, for CONNECT.
func (c *boundedConn) CloseWrite() error { return closeWrite(c.Conn) }
