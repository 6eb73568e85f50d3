// The way in: tailnet listeners, HTTP limits, and every refusal before TypeScript sees a request.
// Forwarding what is admitted is in forward.go; connections are tracked in conns.go.

package core

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// The target takes a head of 16 KB with 200 fields; ours are up to 4.4 KB in three of them.
	maxHeaderBytes    = 11 << 10
	maxHeaderFields   = 150
	readHeaderTimeout = 10 * time.Second
	keepAliveTimeout  = 120 * time.Second
	maxListeners      = 16
	// What members send each other is at most 6 MiB, which the target checks itself.
	maxPeerBodyBytes = 8 << 20
)

// servedMethods are those that the target knows; it cuts the connection at any other.
var servedMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

type ingress struct {
	node *Node

	mu      sync.Mutex
	servers []*http.Server
	closed  bool
}

func newIngress(node *Node) *ingress {
	return &ingress{node: node}
}

// listen serves a tailnet port, for another target than the node's own where one is named; it works before the node has joined.
func (node *Node) listen(port uint16, withTLS bool, target string) error {
	way := node.ingress
	way.mu.Lock()
	defer way.mu.Unlock()
	if way.closed {
		return &Fault{Code: CodeNotUp, Message: "the node is closing"}
	}
	if len(way.servers) >= maxListeners {
		return badRequest("more than %d listeners", maxListeners)
	}
	listener, err := node.server.Listen("tcp", ":"+strconv.Itoa(int(port)))
	if err != nil {
		return badRequest("cannot listen on tailnet port %d: %v", port, err)
	}
	door := &door{node: node, port: strconv.Itoa(int(port)), scheme: "http", maxBody: node.params.MaxBodyBytes}
	if target == "" {
		target = node.params.Target
	} else {
		door.maxBody = max(door.maxBody, maxPeerBodyBytes)
	}
	door.forward = newForward(node, target, door.maxBody)
	if around := node.options.Around; around != nil {
		door.forward = around(door.forward)
	}
	server := &http.Server{
		Handler: door, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: keepAliveTimeout,
		// Over our own limit the door answers a problem document; this one only bounds memory.
		MaxHeaderBytes:               80 << 10,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" must not pass the door by
		ErrorLog:                     log.New(logWriter{node}, "", 0),
		BaseContext:                  func(net.Listener) context.Context { return node.ctx },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, trackedOf(conn))
		},
	}
	way.servers = append(way.servers, server)
	tracked := &trackingListener{Listener: listener, node: node}
	goSafe("serving tailnet port "+door.port, func(message string) { node.log("error", message) }, func() {
		var err error
		if withTLS {
			door.scheme = "https"
			server.TLSConfig = &tls.Config{GetCertificate: node.certificates().GetCertificate, MinVersion: tls.VersionTLS12}
			err = server.ServeTLS(tracked, "", "") // adds h2
		} else {
			err = server.Serve(tracked)
		}
		if node.ctx.Err() == nil {
			node.log("error", fmt.Sprintf("tailnet port %s is no longer served: %v", door.port, err))
		}
	})
	return nil
}

func (way *ingress) close() {
	way.mu.Lock()
	defer way.mu.Unlock()
	way.closed = true
	for _, server := range way.servers {
		server.Close()
	}
}

type connKey struct{}

func trackedOf(conn net.Conn) *trackedConn {
	if secure, is := conn.(*tls.Conn); is {
		conn = secure.NetConn()
	}
	tracked, _ := conn.(*trackedConn)
	return tracked
}

// trackingListener admits connections into the registry, and closes those over the bounds at once.
type trackingListener struct {
	net.Listener
	node *Node
}

// Accept answers the next admitted connection.
func (listener *trackingListener) Accept() (net.Conn, error) {
	for {
		conn, err := listener.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if tracked := listener.node.conns.admit(conn); tracked != nil {
			return tracked, nil
		}
		conn.Close()
		listener.node.log("debug", "too many connections: closed one from "+conn.RemoteAddr().String())
	}
}

// door judges each request at one listener.
type door struct {
	node    *Node
	port    string
	scheme  string
	maxBody int64
	forward http.Handler
}

type schemeKey struct{}
type verdictKey struct{}

// ServeHTTP refuses, or hands on to the target.
func (door *door) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	node := door.node
	defer func() {
		cause := recover()
		if cause == http.ErrAbortHandler {
			panic(cause) // the server's own way to cut a response short
		}
		if cause != nil {
			node.log("error", fmt.Sprintf("panic in a request: %v", cause))
			panic(http.ErrAbortHandler)
		}
	}()
	tracked, _ := request.Context().Value(connKey{}).(*trackedConn)
	if tracked == nil {
		writeProblem(writer, http.StatusForbidden, "caller_unknown", "The connection has no known origin.", "")
		return
	}
	judged, err := node.verdictOn(request.Context(), tracked)
	if err != nil {
		writer.Header().Set("Retry-After", "1")
		writeProblem(writer, http.StatusServiceUnavailable, "caller_unresolved", "The tailnet did not say who is calling.", "Try again in a second.")
		return
	}
	if refusal := judged.refusal; refusal != nil {
		writer.Header().Set("Connection", "close")
		writeProblem(writer, http.StatusForbidden, refusal.Code, refusal.Detail, refusal.Hint)
		return
	}
	if request.Method == http.MethodConnect || request.URL.Path == "*" || request.Method == http.MethodTrace {
		writeProblem(writer, http.StatusBadRequest, "bad_request", fmt.Sprintf("%.20s %.80s is not served here.", request.Method, request.RequestURI), "")
		return
	}
	if !slices.Contains(servedMethods, request.Method) {
		writeProblem(writer, http.StatusMethodNotAllowed, "method_not_allowed", fmt.Sprintf("The method %.20q is not served here.", request.Method), "")
		return
	}
	if headerBytes(request) > maxHeaderBytes || headerFields(request) > maxHeaderFields {
		writer.Header().Set("Connection", "close")
		writeProblem(writer, http.StatusRequestHeaderFieldsTooLarge, "header_too_large",
			fmt.Sprintf("The request's head is larger than %d bytes or has more than %d fields.", maxHeaderBytes, maxHeaderFields), "Send fewer or shorter headers.")
		return
	}
	if !door.hostAllowed(request) {
		writeProblem(writer, http.StatusMisdirectedRequest, "host_not_allowed", fmt.Sprintf("This node does not answer for the host %.120q.", request.Host),
			"Use the node's MagicDNS name or address, or add the name to http.allowed_hosts.")
		return
	}
	if why := originRefused(request, door.scheme, node.params.AllowedOrigins); why != "" {
		writeProblem(writer, http.StatusForbidden, "origin_not_allowed", "Refused: "+why+".", "Add the origin to http.allowed_origins if it may use this node.")
		return
	}
	if request.ContentLength > door.maxBody {
		writer.Header().Set("Connection", "close")
		writeTooLarge(writer, door.maxBody)
		return
	}
	ctx := context.WithValue(context.WithValue(request.Context(), verdictKey{}, judged), schemeKey{}, door.scheme)
	door.forward.ServeHTTP(writer, request.WithContext(ctx))
}

// hostAllowed looks once more with a fresh network map before it says no: a name may be seconds old.
func (door *door) hostAllowed(request *http.Request) bool {
	for _, maxAge := range []time.Duration{0, time.Second} {
		snapshot, err := door.node.look(request.Context(), maxAge)
		if err != nil {
			return false
		}
		if hostAllowed(request.Host, door.scheme, door.port, snapshot.hosts, door.node.params.AllowedHosts) {
			return true
		}
	}
	return false
}

func writeTooLarge(writer http.ResponseWriter, limit int64) {
	writeProblem(writer, http.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("The body is larger than %d bytes.", limit), "Send less at once.")
}

// logWriter turns net/http's own complaints (bad handshakes, malformed requests) into debug lines.
type logWriter struct{ node *Node }

// Write logs one line.
func (writer logWriter) Write(line []byte) (int, error) {
	writer.node.log("debug", "http: "+string(line))
	return len(line), nil
}
