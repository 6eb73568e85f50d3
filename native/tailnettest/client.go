// Client nodes: tsnet nodes inside this process. Each has a state folder that lasts as long as the tailnet, so that a
// restarted client is the same node. proxy.go serves their HTTP.

package tailnettest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"tailscale.com/ipn"
	"tailscale.com/tailcfg"
	"tailscale.com/tsnet"
	"tailscale.com/types/logger"
)

const (
	maxClients  = 50
	pathTimeout = 3 * time.Second
)

// ClientOptions configures a client node. Only Hostname is required.
type ClientOptions struct {
	Hostname string
	User     string // as in Expect
	Tags     []string
	IP       netip.Addr
	Source   netip.Addr
	AuthKey  string      // default: a key that is always valid
	Dir      string      // state folder; default: one per hostname, kept until Close of the tailnet
	Logf     logger.Logf // default: that of the tailnet
}

// Client is a running client node.
type Client struct {
	ID       string // stable id
	Hostname string
	IPs      []netip.Addr // IPv4 first
	HTTP     *http.Client // sends from this node to any name or address of the tailnet

	tailnet *Tailnet
	server  *tsnet.Server
	doors   []interface{ Close() error }
}

// Client starts a client node and waits until it runs. It fails when control refuses the key, and when ctx ends first.
func (t *Tailnet) Client(ctx context.Context, options ClientOptions) (*Client, error) {
	c, err := t.newClient(options)
	if err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		t.forget(c)
		c.shut()
		return nil, fmt.Errorf("client %s does not start: %w", options.Hostname, err)
	}
	return c, nil
}

func (t *Tailnet) newClient(options ClientOptions) (*Client, error) {
	// Announce the hostname only if options say something about it, or if it was not announced yet.
	t.mu.Lock()
	_, announced := t.expected[options.Hostname]
	t.mu.Unlock()
	if options.User != "" || len(options.Tags) > 0 || options.IP.IsValid() || options.Source.IsValid() || !announced {
		expect := Expect{
			Hostname: options.Hostname,
			User:     options.User,
			Tags:     options.Tags,
			IP:       options.IP,
			Source:   options.Source,
		}
		if err := t.Expect(expect); err != nil {
			return nil, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return nil, errors.New("the tailnet is closed")
	case t.clients[options.Hostname] != nil:
		return nil, fmt.Errorf("the client %s runs already: close it first", options.Hostname)
	case len(t.clients) >= maxClients:
		return nil, fmt.Errorf("more than %d clients: close some", maxClients)
	}
	dir, err := t.clientDirLocked(options)
	if err != nil {
		return nil, err
	}
	authKey, logf := options.AuthKey, options.Logf
	if authKey == "" {
		authKey = t.ownKey
	}
	if logf == nil {
		logf = t.logf
	}
	c := &Client{Hostname: options.Hostname, tailnet: t, server: &tsnet.Server{
		Dir: dir, Hostname: options.Hostname, ControlURL: t.ControlURL(), AuthKey: authKey,
		Logf: logf, UserLogf: logf,
	}}
	c.HTTP = &http.Client{
		Transport: &http.Transport{
			DialContext:         c.Dial,
			DisableCompression:  true,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     time.Minute,
		},
	}
	t.clients[c.Hostname] = c
	return c, nil
}

func (t *Tailnet) clientDirLocked(options ClientOptions) (string, error) {
	dir := options.Dir
	if dir == "" {
		dir = t.dirs[options.Hostname]
	}
	if dir == "" {
		dir = filepath.Join(t.tempDir, fmt.Sprintf("client-%d", len(t.dirs)))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("no state folder for %s: %w", options.Hostname, err)
	}
	t.dirs[options.Hostname] = dir
	return dir, nil
}

func (c *Client) start(ctx context.Context) error {
	if err := c.server.Start(); err != nil {
		return err
	}
	local, err := c.server.LocalClient()
	if err != nil {
		return err
	}
	// The watch must end before the node is closed, or closing takes 5 s.
	watching, stop := context.WithCancel(ctx)
	defer stop()
	bus, err := local.WatchIPNBus(watching, ipn.NotifyInitialState)
	if err != nil {
		return err
	}
	defer bus.Close()
	for {
		notice, err := bus.Next()
		if err != nil {
			return err
		}
		if notice.ErrMessage != nil {
			return errors.New(*notice.ErrMessage)
		}
		if notice.State != nil && *notice.State == ipn.Running {
			break
		}
	}
	status, err := local.StatusWithoutPeers(ctx)
	if err != nil {
		return err
	}
	c.ID, c.IPs = string(status.Self.ID), status.Self.TailscaleIPs
	return nil
}

// Dial connects from this node.
func (c *Client) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.server.Dial(ctx, network, address)
}

// Server returns the tsnet node itself, for tests that need more.
func (c *Client) Server() *tsnet.Server { return c.server }

// Path pings a node (hostname or stable id) once and returns how the reply came: "direct", "relay", or "none" without a
// reply within 3 s. Nodes find a direct path only after the first packets, so callers repeat it.
func (c *Client) Path(ctx context.Context, name string) (string, error) {
	c.tailnet.mu.Lock()
	n := c.tailnet.findLocked(name)
	c.tailnet.mu.Unlock()
	if n == nil {
		return "", unknownNode(name)
	}
	local, err := c.server.LocalClient()
	if err != nil {
		return "", err
	}
	waiting, stop := context.WithTimeout(ctx, pathTimeout)
	defer stop()
	result, err := local.Ping(waiting, n.ip, tailcfg.PingDisco)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil || result.Err != "":
		return "none", nil
	case result.Endpoint != "":
		return "direct", nil
	case result.DERPRegionID != 0:
		return "relay", nil
	}
	return "none", nil
}

// Running returns the client with this hostname, or an error.
func (t *Tailnet) Running(hostname string) (*Client, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.clients[hostname]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("no client %q runs: start it first", hostname)
}

func (t *Tailnet) forget(c *Client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.clients[c.Hostname] == c {
		delete(t.clients, c.Hostname)
	}
}

// Close stops the client. Its node stays in the tailnet, offline.
func (c *Client) Close() error {
	c.tailnet.forget(c)
	return c.shut()
}

func (c *Client) shut() error {
	c.tailnet.mu.Lock()
	doors := c.doors
	c.tailnet.mu.Unlock()
	for _, door := range doors {
		door.Close()
	}
	c.HTTP.CloseIdleConnections()
	return c.server.Close()
}
