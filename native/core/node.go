// The life of the tsnet node: start, login, logout, close. What it tells is in watch.go and
// status.go; the way in is ingress.go, the way out egress.go.

package core

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tailscale.com/client/local"
	"tailscale.com/tailcfg"
	"tailscale.com/tsnet"
)

// clientSecretPrefix tells the secret of an OAuth client from an auth key.
const clientSecretPrefix = "tskey-client-"

// Options are the outside things that tests replace; the zero value is the product.
type Options struct {
	// Certificates answers TLS handshakes; nil means the tailnet's own certificates.
	Certificates CertSource
	// Egress verifies https peers; nil means the system's roots.
	Egress *EgressTrust
	// Around wraps what hands admitted requests on; nil means nothing does.
	Around func(http.Handler) http.Handler
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
	raft     atomic.Pointer[raftNetwork] // the raft member whose connections come over this node, if any

	loops     sync.WaitGroup
	closeOnce sync.Once
	closed    chan struct{}
}

// startNode starts the engine and returns once it runs; joining the tailnet goes on and is told by events.
func startNode(params UpParams, options Options, emit func(any)) (*Node, error) {
	isolate(params.TestMode)
	if strings.HasPrefix(params.AuthKey, clientSecretPrefix) {
		params.AuthKey, params.ClientSecret = "", params.AuthKey
	}
	ctx, cancel := context.WithCancel(context.Background())
	node := &Node{params: params, options: options, emit: emit, secrets: &redactor{}, ctx: ctx, cancel: cancel,
		grants: newGrantStore(), conns: newConnections(), closed: make(chan struct{})}
	node.secrets.add(params.AuthKey, params.ClientSecret, params.IngressSecret, params.EgressSecret)
	node.identity.Store(&identity{})
	node.watch.init(time.Now())
	node.server = &tsnet.Server{
		Dir: params.StateDir, Hostname: params.Hostname, ControlURL: params.ControlURL,
		AuthKey: params.AuthKey, Ephemeral: params.Ephemeral, AdvertiseTags: params.Tags, Port: lastUDPPort(params.StateDir),
		UserLogf: node.userLogf, Logf: node.backendLogf,
	}
	// An OAuth client mints a key over the network before the engine starts. A node that is enrolled
	// already needs none, and must come up without a network.
	if params.AuthKey == "" && params.ClientSecret != "" && !enrolled(params.StateDir) {
		node.server.ClientSecret = clientSecretFor(params)
	}
	way, err := newEgress(node)
	if err != nil {
		cancel()
		return nil, err
	}
	node.egress = way
	node.ingress = newIngress(node)
	if err := node.server.Start(); err != nil {
		cancel()
		way.close()
		message := node.secrets.clean(err.Error())
		if strings.Contains(message, "resolving auth key") {
			return nil, &Fault{Code: CodeAuthKey, Message: "the OAuth client gave no auth key: " + message,
				Hint: "Check the client secret, that it may create auth keys, and that it owns the tags " + strings.Join(params.Tags, ", ") + "."}
		}
		return nil, &Fault{Code: CodeInternal, Message: "cannot start the tailnet engine: " + message}
	}
	if node.lc, err = node.server.LocalClient(); err != nil {
		node.close()
		return nil, &Fault{Code: CodeInternal, Message: "the tailnet engine has no local API: " + node.secrets.clean(err.Error())}
	}
	node.engine = engine{node.server}
	if err := keepUDPPort(params.StateDir, node.engine.udpPort()); err != nil {
		node.log("warning", "the UDP port is not kept for the next start: "+err.Error())
	}
	if err := acceptRoutes(ctx, node.lc); err != nil {
		node.log("warning", "services of the tailnet cannot be reached: "+err.Error())
	}
	node.startWatching()
	node.egress.serve()
	return node, nil
}

// clientSecretFor says with the secret what kind of key to mint. Left unsaid, tailscale would make the
// node ephemeral: it would lose its address whenever it is off.
func clientSecretFor(params UpParams) string {
	secret, attributes, _ := strings.Cut(params.ClientSecret, "?")
	values, err := url.ParseQuery(attributes)
	if err != nil {
		return params.ClientSecret // refused with its own words
	}
	if !values.Has("ephemeral") {
		values.Set("ephemeral", strconv.FormatBool(params.Ephemeral))
	}
	if !values.Has("preauthorized") {
		values.Set("preauthorized", "true")
	}
	return secret + "?" + values.Encode()
}

// enrolled reports whether the state folder holds a node key already.
func enrolled(stateDir string) bool {
	text, err := os.ReadFile(filepath.Join(stateDir, "tailscaled.state"))
	if err != nil {
		return false
	}
	var entries map[string][]byte
	if json.Unmarshal(text, &entries) != nil {
		return false
	}
	var profile struct {
		LoggedOut bool
		Config    struct{ PrivateNodeKey string }
	}
	if json.Unmarshal(entries[string(entries["_current-profile"])], &profile) != nil || profile.LoggedOut {
		return false
	}
	return strings.Trim(strings.TrimPrefix(profile.Config.PrivateNodeKey, "privkey:"), "0") != ""
}

func (node *Node) login(ctx context.Context, key string) error {
	if strings.HasPrefix(key, clientSecretPrefix) {
		return &Fault{Code: CodeAuthKey, Message: "login takes an auth key, not the secret of an OAuth client",
			Hint: "Start the node again with the client secret, or log in with an auth key or by URL."}
	}
	node.secrets.add(key)
	node.watch.newLogin()
	if err := loginWithKey(ctx, node.lc, key); err != nil {
		return &Fault{Code: CodeInternal, Message: "cannot start a login: " + node.secrets.clean(err.Error())}
	}
	return nil
}

func (node *Node) logout(ctx context.Context) error {
	node.watch.loggedOut()
	if err := node.lc.Logout(ctx); err != nil {
		return &Fault{Code: CodeInternal, Message: "cannot log out: " + node.secrets.clean(err.Error())}
	}
	return nil
}

// close ends everything and returns within closeDeadline; what tsnet still does then (an ephemeral
// node that cannot reach control to log out) goes on by itself.
func (node *Node) close() {
	node.closeOnce.Do(func() {
		goSafe("closing the node", func(message string) { node.log("error", message) }, func() {
			defer close(node.closed)
			node.cancel() // first: Server.Close waits 5 seconds for an open watcher of the IPN bus
			node.ingress.close()
			node.egress.close()
			node.conns.drop(nil)
			node.loops.Wait()
			_ = node.server.Close()
		})
	})
	select {
	case <-node.closed:
	case <-time.After(closeDeadline):
		node.log("warning", "the tailnet engine is still closing")
	}
}

// ping measures the way to a peer.
func (node *Node) ping(ctx context.Context, addr netip.Addr, timeout time.Duration) (PingResult, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, err := node.admitAddr(ctx, addr.Unmap()); err != nil {
		return PingResult{}, &Fault{Code: CodeDialRefused, Message: err.Error()}
	}
	result, err := node.lc.Ping(ctx, addr.Unmap(), tailcfg.PingDisco)
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

func (node *Node) log(level, message string) {
	node.emit(LogEvent{Event: "log", Level: level, Message: node.secrets.clean(message)})
}

// userLogf gets what tsnet means for people. Its advice about TS_AUTHKEY is ours to give, with the login event.
func (node *Node) userLogf(format string, values ...any) {
	if line := fmt.Sprintf(format, values...); !strings.HasPrefix(line, "To start this tsnet server") {
		node.log("debug", line)
	}
}

// backendLogf gets the engine's own chatter, without its verbose levels.
func (node *Node) backendLogf(format string, values ...any) {
	if strings.HasPrefix(format, "[v1]") || strings.HasPrefix(format, "[v2]") {
		return
	}
	if line := fmt.Sprintf(format, values...); !strings.Contains(line, "[v1]") && !strings.Contains(line, "[v2]") {
		node.log("debug", line)
	}
}
