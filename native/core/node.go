// The lifecycle of the tsnet node: start, login, logout, close. watch.go and status.go report its state; ingress.go
// serves incoming requests, egress.go outgoing ones.

package core

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tailscale.com/client/local"
	"tailscale.com/tailcfg"
	"tailscale.com/tsnet"
)

// clientSecretPrefix distinguishes an OAuth client's secret from an auth key.
const clientSecretPrefix = "tskey-client-"

// Options are the dependencies that tests replace; the zero value is the product.
type Options struct {
	// Certificates is the source for TLS handshakes; nil means the tailnet's own certificates.
	Certificates CertSource
	// Egress holds the roots for https peers; nil means the system's roots.
	Egress *EgressTrust
	// Middleware wraps the handler that forwards admitted requests; may be nil.
	Middleware func(http.Handler) http.Handler
}

// Node is one running tsnet node.
type Node struct {
	params  UpParams
	options Options
	emit    func(any)
	secrets *redactor

	ctx    context.Context
	cancel context.CancelFunc
	server *tsnet.Server
	lc     *local.Client
	engine engine

	grants   *grantStore
	conns    *connections
	identity atomic.Pointer[identity]
	view     viewCache
	watch    watchState
	ingress  *ingress
	egress   *egress
	raft     atomic.Pointer[raftNetwork] // the raft member that uses this node, if any

	loops     sync.WaitGroup
	closeOnce sync.Once
	closed    chan struct{}
}

// startNode starts the engine and returns once it runs. Joining the tailnet continues and is reported by events.
func startNode(params UpParams, options Options, emit func(any)) (*Node, error) {
	isolate(params.TestMode)
	if strings.HasPrefix(params.AuthKey, clientSecretPrefix) {
		params.AuthKey, params.ClientSecret = "", params.AuthKey
	}
	ctx, cancel := context.WithCancel(context.Background())
	node := &Node{params: params, options: options, emit: emit, secrets: &redactor{}, ctx: ctx, cancel: cancel,
		grants: newGrantStore(), conns: newConnections(), closed: make(chan struct{})}
	node.secrets.add(params.AuthKey, params.ClientSecret, params.IngressSecret, params.EgressSecret,
		params.OutboundProxyAuth)
	node.identity.Store(&identity{})
	node.watch.init(time.Now())
	state, err := openState(params.StateDir, node.backendLogf)
	if err != nil {
		cancel()
		return nil, &Fault{
			Code:    CodeInternal,
			Message: fmt.Sprintf("cannot open the state of the tailnet in %s: %v", params.StateDir, err),
			Hint:    "See that the folder is writable by this user and the disk has room.",
		}
	}
	node.server = &tsnet.Server{
		Dir: params.StateDir, Store: state, Hostname: params.Hostname, ControlURL: params.ControlURL,
		AuthKey: params.AuthKey, Ephemeral: params.Ephemeral, AdvertiseTags: params.Tags, Port: savedUDPPort(params.StateDir),
		UserLogf: node.userLogf, Logf: node.backendLogf,
	}
	// An OAuth client creates a key over the network before the engine starts. An enrolled node needs none, and must start
	// without a network.
	if params.AuthKey == "" && params.ClientSecret != "" && !enrolled(params.StateDir) {
		node.server.ClientSecret = clientSecretFor(params)
	}
	egress, err := newEgress(node)
	if err != nil {
		cancel()
		return nil, err
	}
	node.egress = egress
	node.ingress = newIngress(node)
	if err := node.server.Start(); err != nil {
		cancel()
		egress.close()
		message := node.secrets.clean(err.Error())
		if strings.Contains(message, "resolving auth key") {
			return nil, &Fault{Code: CodeAuthKey, Message: "the OAuth client created no auth key: " + message,
				Hint: "Check the client secret, that it may create auth keys, and that it owns the tags " +
					strings.Join(params.Tags, ", ") + "."}
		}
		return nil, &Fault{Code: CodeInternal, Message: "cannot start the tailnet engine: " + message}
	}
	if node.lc, err = node.server.LocalClient(); err != nil {
		node.close()
		return nil, &Fault{
			Code:    CodeInternal,
			Message: "the tailnet engine has no local API: " + node.secrets.clean(err.Error()),
		}
	}
	node.engine = engine{node.server}
	if err := saveUDPPort(params.StateDir, node.engine.udpPort()); err != nil {
		node.log("warning", "the UDP port cannot be saved for the next start: "+err.Error())
	}
	if err := acceptRoutes(ctx, node.lc); err != nil {
		node.log("warning", "services of the tailnet cannot be reached: "+err.Error())
	}
	node.startWatching()
	node.egress.serve()
	return node, nil
}

// clientSecretFor adds to the secret which kind of key to create. By default tailscale would make the node ephemeral:
// it would lose its address whenever it is off.
func clientSecretFor(params UpParams) string {
	secret, attributes, _ := strings.Cut(params.ClientSecret, "?")
	values, err := url.ParseQuery(attributes)
	if err != nil {
		return params.ClientSecret // tailscale refuses it with its own message
	}
	if !values.Has("ephemeral") {
		values.Set("ephemeral", strconv.FormatBool(params.Ephemeral))
	}
	if !values.Has("preauthorized") {
		values.Set("preauthorized", "true")
	}
	return secret + "?" + values.Encode()
}

func (n *Node) login(ctx context.Context, key string) error {
	if strings.HasPrefix(key, clientSecretPrefix) {
		return &Fault{Code: CodeAuthKey, Message: "login takes an auth key, not the secret of an OAuth client",
			Hint: "Restart the node with the client secret, or log in with an auth key or by URL."}
	}
	n.secrets.add(key)
	n.watch.newLogin(n.renews(ctx))
	if err := loginWithKey(ctx, n.lc, key); err != nil {
		return &Fault{Code: CodeInternal, Message: "cannot start a login: " + n.secrets.clean(err.Error())}
	}
	return nil
}

// renews reports whether a login now would replace a key that control still takes.
func (n *Node) renews(ctx context.Context) bool {
	status, err := n.status(ctx)
	return err == nil && status.State == "Running" && status.Denied == nil && status.Self != nil && !status.Self.KeyExpired
}

func (n *Node) logout(ctx context.Context) error {
	n.watch.loggedOut()
	if err := n.lc.Logout(ctx); err != nil {
		return &Fault{Code: CodeInternal, Message: "cannot log out: " + n.secrets.clean(err.Error())}
	}
	return nil
}

// close stops everything and returns within closeDeadline. What tsnet still does then (an ephemeral node that cannot
// reach control to log out) continues in the background.
func (n *Node) close() {
	n.closeOnce.Do(func() {
		goSafe("closing the node", func(message string) { n.log("error", message) }, func() {
			defer close(n.closed)
			n.cancel() // first: Server.Close waits 5 seconds for an open watcher of the IPN bus
			n.ingress.close()
			n.egress.close()
			n.conns.drop(nil)
			n.loops.Wait()
			_ = n.server.Close()
		})
	})
	select {
	case <-n.closed:
	case <-time.After(closeDeadline):
		n.log("warning", "the tailnet engine is still closing")
	}
}

// ping measures the latency to a peer.
func (n *Node) ping(ctx context.Context, addr netip.Addr, timeout time.Duration) (PingResult, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, err := n.admitAddr(ctx, addr.Unmap()); err != nil {
		return PingResult{}, &Fault{Code: CodeDialRefused, Message: err.Error()}
	}
	result, err := n.lc.Ping(ctx, addr.Unmap(), tailcfg.PingDisco)
	if ctx.Err() != nil {
		return PingResult{}, &Fault{Code: CodeTimeout, Message: fmt.Sprintf("%s did not answer in %v", addr, timeout)}
	}
	if err != nil {
		return PingResult{}, &Fault{Code: CodeInternal, Message: "ping: " + err.Error()}
	}
	if result.Err != "" {
		return PingResult{}, &Fault{Code: CodeNotFound, Message: fmt.Sprintf("cannot ping %s: %s", addr, result.Err)}
	}
	answer := PingResult{LatencyMs: result.LatencySeconds * 1000, Path: "relay", Relay: result.DERPRegionCode}
	if result.Endpoint != "" {
		answer.Path, answer.Relay = "direct", ""
	}
	return answer, nil
}

func (n *Node) log(level, message string) {
	n.emit(LogEvent{Event: "log", Level: level, Message: n.secrets.clean(message)})
}

// userLogf receives tsnet's messages for users. Its advice about TS_AUTHKEY is dropped: the login event replaces it.
func (n *Node) userLogf(format string, values ...any) {
	if line := fmt.Sprintf(format, values...); !strings.HasPrefix(line, "To start this tsnet server") {
		n.log("debug", line)
	}
}

// backendLogf receives the engine's log and drops its verbose levels.
func (n *Node) backendLogf(format string, values ...any) {
	if strings.HasPrefix(format, "[v1]") || strings.HasPrefix(format, "[v2]") {
		return
	}
	if line := fmt.Sprintf(format, values...); !strings.Contains(line, "[v1]") && !strings.Contains(line, "[v2]") {
		n.log("debug", line)
	}
}
