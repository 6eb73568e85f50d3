// The way out: HTTP and CONNECT on egress.sock towards peers, each dial judged by the dial guard.

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

// EgressTrust says whose certificates https peers may show.
type EgressTrust struct{ Roots *x509.CertPool }

type egress struct {
	node      *Node
	path      string
	listener  net.Listener
	server    *http.Server
	transport *http.Transport
	outbound  *outbound
	dialled   sync.Map // *dialledConn → struct{}: connections to peers, open or being made
	tunnels   sync.Map // net.Conn → struct{}: our side of CONNECT, closed with the node
}

func closeWrite(conn net.Conn) error {
	if half, is := conn.(interface{ CloseWrite() error }); is {
		return half.CloseWrite()
	}
	return nil
}

// newEgress makes the socket; nothing is answered before serve.
func newEgress(node *Node) (*egress, error) {
	way := &egress{node: node, path: filepath.Join(node.params.SocketDir, "egress.sock")}
	if info, err := os.Lstat(way.path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, badRequest("%s exists and is no socket", way.path)
		}
		_ = os.Remove(way.path)
	}
	listener, err := net.Listen("unix", way.path)
	if err != nil {
		return nil, badRequest("cannot make the socket %s: %v", way.path, err)
	}
	if err := os.Chmod(way.path, 0o600); err != nil {
		listener.Close()
		return nil, badRequest("cannot close the socket %s to others: %v", way.path, err)
	}
	rules, err := parseOutboundRules(node.params.OutboundAllow)
	if err != nil {
		listener.Close()
		return nil, badRequest("outboundAllow: %v", err)
	}
	way.listener = &boundedListener{Listener: listener, slots: make(chan struct{}, maxEgressConnections)}
	way.transport = &http.Transport{
		Proxy: nil,
		DialContext: func(ctx context.Context, _, target string) (net.Conn, error) {
			return way.dial(ctx, target)
		},
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 32,
		MaxIdleConns:        256,
		IdleConnTimeout:     60 * time.Second,
		TLSHandshakeTimeout: dialTimeout,
	}
	if trust := node.options.Egress; trust != nil {
		way.transport.TLSClientConfig.RootCAs = trust.Roots
	}
	way.outbound = newOutbound(node, newOutboundGuard(rules), way.transport.TLSClientConfig.RootCAs)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(hop *httputil.ProxyRequest) {
			scheme := hop.In.Header.Get(headerScheme)
			hop.Out.URL = &url.URL{Scheme: scheme, Host: hop.In.Host, Path: hop.In.URL.Path, RawPath: hop.In.URL.RawPath, RawQuery: hop.In.URL.RawQuery}
			hop.Out.Host = hop.In.Host
			stripForgeable(hop.Out.Header)
		},
		Transport: way.transport, FlushInterval: -1, BufferPool: &bufferPool{},
		ErrorLog: log.New(logWriter{node}, "", 0),
		ErrorHandler: func(writer http.ResponseWriter, request *http.Request, err error) {
			if request.Context().Err() == nil {
				writeDialProblem(writer, err)
			}
		},
	}
	way.server = &http.Server{
		ReadHeaderTimeout: readHeaderTimeout, MaxHeaderBytes: maxHeaderBytes, DisableGeneralOptionsHandler: true,
		ErrorLog:    log.New(logWriter{node}, "", 0),
		BaseContext: func(net.Listener) context.Context { return node.ctx },
		Handler: http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			if !sameSecret(request.Header.Get(headerSecret), node.params.EgressSecret) || len(request.Header.Values(headerSecret)) != 1 {
				writeProblem(writer, http.StatusForbidden, "bad_secret", "The request does not carry this node's egress secret.", "")
				return
			}
			network := request.Header.Get(headerNetwork)
			if network != "" && network != "host" {
				writeProblem(writer, http.StatusBadRequest, "bad_request", fmt.Sprintf("%s must be host, not %.40q.", headerNetwork, network), "")
				return
			}
			if request.Method == http.MethodConnect && network == "" {
				way.connect(writer, request)
				return
			}
			scheme := request.Header.Get(headerScheme)
			if scheme == "" {
				scheme = "http"
				request.Header.Set(headerScheme, scheme)
			}
			if scheme != "http" && scheme != "https" {
				writeProblem(writer, http.StatusBadRequest, "bad_request", fmt.Sprintf("%s must be http or https, not %.40q.", headerScheme, scheme), "")
				return
			}
			if network == "host" {
				way.outbound.serve(writer, request)
				return
			}
			proxy.ServeHTTP(writer, request)
		}),
	}
	return way, nil
}

func (way *egress) serve() {
	goSafe("serving egress.sock", func(message string) { way.node.log("error", message) }, func() {
		if err := way.server.Serve(way.listener); way.node.ctx.Err() == nil {
			way.node.log("error", "egress.sock is no longer served: "+err.Error())
		}
	})
}

func (way *egress) close() {
	way.server.Close()
	way.listener.Close()
	way.transport.CloseIdleConnections()
	way.outbound.close()
	way.tunnels.Range(func(conn, _ any) bool {
		conn.(net.Conn).Close()
		return true
	})
	way.dialled.Range(func(conn, _ any) bool {
		conn.(*dialledConn).end()
		return true
	})
	_ = os.Remove(way.path)
}

// connect opens raw TCP and moves bytes until both directions end.
func (way *egress) connect(writer http.ResponseWriter, request *http.Request) {
	far, err := way.dial(request.Context(), request.Host)
	if err != nil {
		writeDialProblem(writer, err)
		return
	}
	defer far.Close()
	near, buffered, err := http.NewResponseController(writer).Hijack()
	if err != nil {
		writeProblem(writer, http.StatusInternalServerError, "internal", "The connection cannot be taken over.", "")
		return
	}
	defer near.Close()
	way.tunnels.Store(near, struct{}{})
	defer way.tunnels.Delete(near)
	if way.node.ctx.Err() != nil {
		return
	}
	_ = near.SetDeadline(time.Time{})
	if _, err := io.WriteString(near, "HTTP/1.1 200 Connection Established\r\n\r\n"); err != nil {
		return
	}
	done := make(chan struct{}, 2)
	copyTo := func(to net.Conn, from io.Reader) {
		goSafe("moving bytes of a CONNECT", func(message string) { way.node.log("error", message) }, func() {
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

func writeDialProblem(writer http.ResponseWriter, err error) {
	var refused *dialRefused
	if errors.As(err, &refused) {
		writeProblem(writer, http.StatusForbidden, "dial_refused", refused.Error()+".", "Only peers and services of this tailnet can be reached here.")
		return
	}
	writer.Header().Set("Retry-After", "1")
	writeProblem(writer, http.StatusBadGateway, "dial_failed", strings.TrimSpace(err.Error()), "Check that the peer is online and that the policy allows this port.")
}

// sameSecret compares in constant time, whatever the lengths.
func sameSecret(given, expected string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(expected))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// boundedListener waits with Accept while too many connections are open.
type boundedListener struct {
	net.Listener
	slots chan struct{}
}

type boundedConn struct {
	net.Conn
	release func()
}

// Accept answers the next connection once there is room.
func (listener *boundedListener) Accept() (net.Conn, error) {
	listener.slots <- struct{}{}
	conn, err := listener.Listener.Accept()
	if err != nil {
		<-listener.slots
		return nil, err
	}
	return &boundedConn{conn, sync.OnceFunc(func() { <-listener.slots })}, nil
}

// Close ends the connection and frees its place.
func (conn *boundedConn) Close() error {
	defer conn.release()
	return conn.Conn.Close()
}

// CloseWrite ends one direction, for CONNECT.
func (conn *boundedConn) CloseWrite() error { return closeWrite(conn.Conn) }
