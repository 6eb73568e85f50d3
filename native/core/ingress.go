// Ingress: tailnet listeners, HTTP limits, and every refusal that happens before TypeScript sees a request. forward.go
// forwards what is admitted; conns.go tracks the connections.

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

	"cairn.internal/native/eventgrpc"
)

const (
	// The target accepts a head of 16 KB with 200 fields; the three fields we add take up to 4.4 KB.
	maxHeaderBytes    = 11 << 10
	maxHeaderFields   = 150
	readHeaderTimeout = 10 * time.Second
	keepAliveTimeout  = 120 * time.Second
	maxListeners      = 16
)

// An h2 connection that is quiet for so long is asked whether its caller is still there, and closed without an answer.
const (
	pingAfter   = 60 * time.Second
	pingTimeout = 20 * time.Second
)

// protocols returns what a listener speaks: clients of gRPC begin with h2 on a port without TLS, too.
func protocols(secure bool) *http.Protocols {
	spoken := &http.Protocols{}
	spoken.SetHTTP1(true)
	spoken.SetHTTP2(secure)
	spoken.SetUnencryptedHTTP2(!secure)
	return spoken
}

// servedMethods are the methods that the target knows; it closes the connection on any other.
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

// listen serves a tailnet port, for the node's own target unless another is named. It works before the node has joined.
func (n *Node) listen(params ListenParams) error {
	ingress := n.ingress
	ingress.mu.Lock()
	defer ingress.mu.Unlock()
	if ingress.closed {
		return &Fault{Code: CodeNotUp, Message: "the node is closing"}
	}
	if len(ingress.servers) >= maxListeners {
		return badRequest("more than %d listeners", maxListeners)
	}
	listener, err := n.server.Listen("tcp", ":"+strconv.Itoa(params.Port))
	if err != nil {
		return badRequest("cannot listen on tailnet port %d: %v", params.Port, err)
	}
	handler := &portHandler{node: n, port: strconv.Itoa(params.Port), scheme: "http", maxBody: n.params.MaxBodyBytes}
	target := n.params.Target
	if params.Target != "" {
		target, handler.maxBody = params.Target, params.MaxBodyBytes
	}
	handler.forward = newForward(n, target, handler.maxBody)
	if params.Target == "" {
		handler.calls = newCalls(n, target)
	}
	if middleware := n.options.Middleware; middleware != nil {
		handler.forward = middleware(handler.forward)
	}
	server := &http.Server{
		Protocols: protocols(params.TLS), HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: keepAliveTimeout,
		// portHandler enforces the actual limit with a problem document; this one only bounds memory.
		MaxHeaderBytes:               80 << 10,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" must not bypass portHandler
		ErrorLog:                     log.New(logWriter{n}, "", 0),
		BaseContext:                  func(net.Listener) context.Context { return n.ctx },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, trackedOf(conn))
		},
	}
	ingress.servers = append(ingress.servers, server)
	tracked := &trackingListener{Listener: listener, node: n}
	goSafe("serving tailnet port "+handler.port, func(message string) { n.log("error", message) }, func() {
		var err error
		if params.TLS {
			handler.scheme = "https"
			server.TLSConfig = &tls.Config{GetCertificate: n.certificates().GetCertificate, MinVersion: tls.VersionTLS12}
			err = server.ServeTLS(tracked, "", "") // adds h2
		} else {
			err = server.Serve(tracked)
		}
		if n.ctx.Err() == nil {
			n.log("error", fmt.Sprintf("serving tailnet port %s ended: %v", handler.port, err))
		}
	})
	return nil
}

func (i *ingress) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	for _, server := range i.servers {
		server.Close()
	}
}

type connKey struct{}

func trackedOf(conn net.Conn) *trackedConn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	tracked, _ := conn.(*trackedConn)
	return tracked
}

// trackingListener registers connections and closes those over the limits at once.
type trackingListener struct {
	net.Listener
	node *Node
}

// Accept returns the next admitted connection.
func (l *trackingListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if tracked := l.node.conns.admit(conn); tracked != nil {
			return tracked, nil
		}
		conn.Close()
		l.node.log("debug", "too many connections: closed one from "+conn.RemoteAddr().String())
	}
}

// portHandler checks each request at one listener.
type portHandler struct {
	node    *Node
	port    string
	scheme  string
	maxBody int64
	forward http.Handler
	calls   *eventgrpc.Handler // nil where the target is another than the node's own
}

type schemeKey struct{}
type callerCheckKey struct{}

// ServeHTTP refuses a request or forwards it to the target.
func (h *portHandler) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	node := h.node
	defer func() {
		cause := recover()
		if cause == http.ErrAbortHandler {
			panic(cause) // how net/http aborts a response
		}
		if cause != nil {
			node.log("error", fmt.Sprintf("panic in a request: %v", cause))
			panic(http.ErrAbortHandler)
		}
	}()
	timed := newTimedWriter(writer)
	defer timed.finish()
	writer = timed
	isCall := h.calls != nil && eventgrpc.Serves(request.URL.Path)
	if isCall && eventgrpc.IsCall(request) {
		writer = callWriter{timed}
	}
	// A refusal reads a little of the body, too, before the connection is closed.
	if request.ContentLength != 0 {
		_ = timed.control.SetReadDeadline(time.Now().Add(bodyPace.grace))
	}
	tracked, _ := request.Context().Value(connKey{}).(*trackedConn)
	if tracked == nil {
		writeProblem(writer, http.StatusForbidden, "caller_unknown", "The connection is not tracked.", "")
		return
	}
	check, err := node.checkConn(request.Context(), tracked)
	if err != nil {
		writer.Header().Set("Retry-After", "1")
		writeProblem(writer, http.StatusServiceUnavailable, "caller_unresolved", "The tailnet could not identify the caller.",
			"Try again in a second.")
		return
	}
	if refusal := check.refusal; refusal != nil {
		writer.Header().Set("Connection", "close")
		writeProblem(writer, http.StatusForbidden, refusal.Code, refusal.Detail, refusal.Hint)
		return
	}
	caller := check.caller.ID
	if !node.conns.identify(tracked, caller) || !node.conns.requests.take(caller, 1) {
		writer.Header().Set("Connection", "close")
		writer.Header().Set("Retry-After", "5")
		writeProblem(writer, http.StatusTooManyRequests, "rate_limited",
			"This device has too many connections or requests open, or all devices together have.",
			"Close some, or wait, then try again.")
		return
	}
	defer node.conns.requests.give(caller, 1)
	if h.refuse(writer, request) {
		return
	}
	ctx := context.WithValue(context.WithValue(request.Context(), callerCheckKey{}, check), schemeKey{}, h.scheme)
	if isCall {
		h.calls.ServeHTTP(writer, request.WithContext(context.WithValue(ctx, hostKey{}, request.Host)))
		return
	}
	h.forward.ServeHTTP(writer, request.WithContext(ctx))
}

// refuse checks method, head, Host, Origin and body size. It writes the problem of the first check that fails and
// reports whether one did.
func (h *portHandler) refuse(writer http.ResponseWriter, request *http.Request) bool {
	if request.Method == http.MethodConnect || request.URL.Path == "*" || request.Method == http.MethodTrace {
		writeProblem(writer, http.StatusBadRequest, "bad_request",
			fmt.Sprintf("%.20s %.80s is not served here.", request.Method, request.RequestURI), "")
		return true
	}
	if !slices.Contains(servedMethods, request.Method) {
		writeProblem(writer, http.StatusMethodNotAllowed, "method_not_allowed",
			fmt.Sprintf("The method %.20q is not served here.", request.Method), "")
		return true
	}
	if headerBytes(request) > maxHeaderBytes || headerFields(request) > maxHeaderFields {
		writer.Header().Set("Connection", "close")
		detail := fmt.Sprintf("The request's head is larger than %d bytes or has more than %d fields.",
			maxHeaderBytes, maxHeaderFields)
		writeProblem(writer, http.StatusRequestHeaderFieldsTooLarge, "header_too_large", detail,
			"Send fewer or shorter headers.")
		return true
	}
	if !h.hostAllowed(request) {
		writeProblem(writer, http.StatusMisdirectedRequest, "host_not_allowed",
			fmt.Sprintf("This node does not serve the host %.120q.", request.Host),
			"Use the node's MagicDNS name or address, or add the name to http.allowed_hosts.")
		return true
	}
	if why := originRefusal(request, h.scheme, h.node.params.AllowedOrigins); why != "" {
		writeProblem(writer, http.StatusForbidden, "origin_not_allowed", "Refused: "+why+".",
			"Add the origin to http.allowed_origins if it may use this node.")
		return true
	}
	if request.ContentLength > h.maxBody {
		writer.Header().Set("Connection", "close")
		writeTooLarge(writer, h.maxBody)
		return true
	}
	return false
}

// hostAllowed retries with a fresh network map before it refuses: the node's name may be seconds old.
func (h *portHandler) hostAllowed(request *http.Request) bool {
	for _, maxAge := range []time.Duration{0, time.Second} {
		snapshot, err := h.node.look(request.Context(), maxAge)
		if err != nil {
			return false
		}
		if hostAllowed(request.Host, h.scheme, h.port, snapshot.hosts, h.node.params.AllowedHosts) {
			return true
		}
	}
	return false
}

func writeTooLarge(writer http.ResponseWriter, limit int64) {
	writeProblem(writer, http.StatusRequestEntityTooLarge, "body_too_large",
		fmt.Sprintf("The body is larger than %d bytes.", limit),
		"Send less at once, or raise the setting http.max_body_bytes.")
}

// logWriter turns net/http's error messages (failed handshakes, malformed requests) into debug lines.
type logWriter struct{ node *Node }

// Write logs one line.
func (w logWriter) Write(line []byte) (int, error) {
	w.node.log("debug", "http: "+string(line))
	return len(line), nil
}
