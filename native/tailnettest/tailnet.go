// Package tailnettest is a whole tailnet in one process, on loopback: a control server that speaks the real protocol,
// one DERP relay, STUN, and client nodes. It is for tests and local trials and keeps everything in memory. policy.go
// decides what a node becomes; cmd/tailnet is the command around it.
package tailnettest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"tailscale.com/envknob"
	"tailscale.com/net/netns"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
	"tailscale.com/util/rands"
)

// Names of the tailnet. Foreign nodes and users belong to the second pair.
const (
	Domain        = "cairn-test.ts.net"
	DefaultUser   = "owner@example.com"
	foreignSuffix = "elsewhere.ts.net"
	foreignDomain = "elsewhere.example"
)

// Limits, far above what a test needs.
const (
	maxNodes    = 2000
	maxUsers    = 2000
	maxExpected = 2000
	maxLogins   = 1000
)

// Options configures Start. The zero value is usable.
type Options struct {
	Listen string      // address of the control server; default 127.0.0.1:0
	Logf   logger.Logf // log of the servers and client engines; default: none
}

// Tailnet is a running tailnet. All methods are safe for concurrent use, and a change is pushed to the nodes at once.
type Tailnet struct {
	logf     logger.Logf
	control  *gate
	relay    *gate
	stun     *stunServer
	derp     *relayServer
	noiseKey key.MachinePrivate
	ownKey   string // auth key of our own clients, valid in every mode
	stop     context.CancelFunc
	ctx      context.Context
	streams  sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	direct   bool
	https    bool
	funnel   bool
	auth     authPolicy
	expected map[string]Expect // by hostname
	grants   []Grant
	users    map[string]tailcfg.UserID // by login
	nodes    map[tailcfg.NodeID]*node
	lastNode tailcfg.NodeID
	logins   map[string]*login // by path of the login URL
	clients  map[string]*Client
	dirs     map[string]string // state folder of each client, by hostname
	tempDir  string
}

var processOnce sync.Once

// prepareProcess sets tailscale's per-process settings: no uploads, no probing of the host's router, no binding of
// sockets to the default route's interface.
func prepareProcess() {
	processOnce.Do(func() {
		envknob.SetNoLogsNoSupport()
		envknob.Setenv("TS_DISABLE_PORTMAPPER", "true")
		netns.SetEnabled(false)
	})
}

// Start starts a tailnet; Close stops it.
func Start(options Options) (*Tailnet, error) {
	prepareProcess()
	if options.Listen == "" {
		options.Listen = "127.0.0.1:0"
	}
	address, err := netip.ParseAddrPort(options.Listen)
	if err != nil || !address.Addr().IsLoopback() {
		return nil, fmt.Errorf("the control server listens only on loopback, not on %q: give 127.0.0.1:PORT", options.Listen)
	}
	logf := options.Logf
	if logf == nil {
		logf = logger.Discard
	}
	ctx, stop := context.WithCancel(context.Background())
	t := &Tailnet{
		logf: logf, ctx: ctx, stop: stop,
		noiseKey: key.NewMachine(),
		ownKey:   "tskey-auth-own-" + rands.HexString(32),
		direct:   true,
		auth:     authPolicy{mode: AuthOpen},
		expected: map[string]Expect{},
		users:    map[string]tailcfg.UserID{},
		nodes:    map[tailcfg.NodeID]*node{},
		logins:   map[string]*login{},
		clients:  map[string]*Client{},
		dirs:     map[string]string{},
	}
	if err := t.open(options.Listen); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Tailnet) open(listen string) (err error) {
	if t.tempDir, err = os.MkdirTemp("", "tailnet-"); err != nil {
		return fmt.Errorf("no folder for the state of client nodes: %w", err)
	}
	if t.stun, err = startSTUN(); err != nil {
		return err
	}
	if t.derp, err = newRelayServer(t.logf); err != nil {
		return err
	}
	if t.relay, err = openGate("127.0.0.1:0", t.derp.tls, t.derp.http); err != nil {
		return fmt.Errorf("DERP: %w", err)
	}
	server := &http.Server{
		Handler:           t.controlHandler(),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          logger.StdLogger(t.logf),
	}
	if t.control, err = openGate(listen, nil, server); err != nil {
		return fmt.Errorf("control server: %w", err)
	}
	return nil
}

// ControlURL returns the URL for a node's control setting; cuts do not change it.
func (t *Tailnet) ControlURL() string { return "http://" + t.control.address }

// Domain returns the MagicDNS suffix of the tailnet, without leading or trailing dots.
func (t *Tailnet) Domain() string { return Domain }

// SetControl cuts the control server off (listener and all connections) or brings it back on the same port with the
// same keys.
func (t *Tailnet) SetControl(up bool) error { return t.control.set(up) }

// SetDERP cuts the relay off or brings it back on the same port. STUN stays.
func (t *Tailnet) SetDERP(up bool) error { return t.relay.set(up) }

// SetDirect sets whether nodes may use direct paths. If not, endpoints are hidden and nodes are told not to use UDP;
// nodes leave a direct path in use within 7 s.
func (t *Tailnet) SetDirect(allowed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.direct = allowed
	t.pushLocked()
}

// SetHTTPS sets or clears the HTTPS capability and certificate domains of all nodes, and with funnel the right to use
// Funnel.
func (t *Tailnet) SetHTTPS(enabled, funnel bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.https, t.funnel = enabled, enabled && funnel
	t.pushLocked()
}

// Close stops clients and servers and removes their state, within seconds.
func (t *Tailnet) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	clients := t.clients
	t.clients = map[string]*Client{}
	t.mu.Unlock()

	var closing sync.WaitGroup
	for _, client := range clients {
		closing.Go(func() { client.shut() })
	}
	closing.Wait()
	t.stop()
	var errs []error
	for _, door := range []*gate{t.control, t.relay} {
		if door != nil {
			errs = append(errs, door.close())
		}
	}
	if t.derp != nil {
		errs = append(errs, t.derp.close())
	}
	if t.stun != nil {
		t.stun.close()
	}
	if !waitAtMost(&t.streams, 2*time.Second) {
		errs = append(errs, errors.New("a control connection did not end within 2 s"))
	}
	if t.tempDir != "" {
		errs = append(errs, os.RemoveAll(t.tempDir))
	}
	return errors.Join(errs...)
}

func waitAtMost(group *sync.WaitGroup, limit time.Duration) bool {
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}
