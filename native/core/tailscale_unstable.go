// The only file that uses tailscale APIs not marked stable: the IPN bus, the subsystems behind Server.Sys, the serve
// config. Review it first when tailscale.com is upgraded.

package core

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"

	"tailscale.com/client/local"
	"tailscale.com/envknob"
	"tailscale.com/health"
	"tailscale.com/ipn"
	"tailscale.com/ipn/ipnstate"
	"tailscale.com/net/netns"
	"tailscale.com/tailcfg"
	"tailscale.com/tsconst"
	"tailscale.com/tsnet"
	"tailscale.com/types/key"
	"tailscale.com/wgengine/filter"
	"tailscale.com/wgengine/netstack"
)

// ignoredEnv are the variables that tsnet reads when the matching argument is empty. Arguments must win, also empty
// ones.
var ignoredEnv = []string{
	"TS_AUTHKEY",
	"TS_AUTH_KEY",
	"TS_CLIENT_SECRET",
	"TS_CLIENT_ID",
	"TS_ID_TOKEN",
	"TS_AUDIENCE",
	"TS_CONTROL_URL",
}

var testModeOnce sync.Once

// isolate turns log upload off, removes stray TS_* variables and, on a test tailnet, uses plain sockets.
func isolate(testMode bool) {
	envknob.SetNoLogsNoSupport()
	for _, name := range ignoredEnv {
		os.Unsetenv(name)
	}
	if testMode {
		// Once: running nodes already read these.
		testModeOnce.Do(func() {
			netns.SetEnabled(false)
			envknob.Setenv("TS_DISABLE_PORTMAPPER", "true")
		})
	}
}

// busChange is what we use of a notification of the IPN bus.
type busChange struct {
	loginURL string
	errText  string
	loggedIn bool
	netmap   bool // peers, users or self changed
}

// watchBus calls each for every notification until ctx ends or the bus breaks. The caller cancels ctx before
// Server.Close, which otherwise waits 5 seconds for this watcher.
func watchBus(ctx context.Context, lc *local.Client, each func(busChange)) error {
	watcher, err := lc.WatchIPNBus(ctx, ipn.NotifyInitialState|ipn.NotifyPeerChanges|ipn.NotifyInitialHealthState)
	if err != nil {
		return err
	}
	defer watcher.Close()
	each(busChange{netmap: true})
	for {
		notice, err := watcher.Next()
		if err != nil {
			return err
		}
		change := busChange{
			loggedIn: notice.LoginFinished != nil || (notice.State != nil && *notice.State == ipn.Running),
			netmap: notice.SelfChange != nil || len(notice.PeersChanged) > 0 || len(notice.PeersRemoved) > 0 ||
				len(notice.UserProfiles) > 0 || notice.State != nil,
		}
		if notice.BrowseToURL != nil {
			change.loginURL = *notice.BrowseToURL
		}
		if notice.ErrMessage != nil {
			change.errText = *notice.ErrMessage
		}
		each(change)
	}
}

// engine accesses the subsystems of a started server.
type engine struct{ server *tsnet.Server }

// packetFilter returns the current packet filter. Changed grants arrive only in it, and tailscale 1.102 does not
// announce them on the IPN bus, so its identity is compared.
func (e engine) packetFilter() *filter.Filter {
	if tun, ready := e.server.Sys().Tun.GetOK(); ready {
		return tun.GetFilter()
	}
	return nil
}

// udpPort returns the port WireGuard listens on, 0 if unknown.
func (e engine) udpPort() uint16 {
	if sock, ready := e.server.Sys().MagicSock.GetOK(); ready {
		return sock.LocalPort()
	}
	return 0
}

// inMapPoll reports whether control is streaming the network map to us now.
func (e engine) inMapPoll() bool {
	return e.server.Sys().HealthTracker.Get().GetInPollNetMap()
}

// loginError returns the last error of a login attempt, empty when there is none.
func (e engine) loginError() string {
	state := e.server.Sys().HealthTracker.Get().CurrentState()
	if warning, set := state.Warnings[health.WarnableCode(tsconst.HealthWarnableLoginState)]; set {
		return warning.Args[health.ArgError]
	}
	return ""
}

// judgeKey asks control whether it takes a node key, without an auth key and without a login. The map request names the
// device, so that only a known one registers; nil means that control takes the key.
func (e engine) judgeKey(ctx context.Context, nodeKey key.NodePublic, host *tailcfg.Hostinfo) (*Denied, error) {
	return judgeKeyBy(func(path string, body any) (int, []byte, error) { return e.askControl(ctx, path, body) }, nodeKey, host)
}

func judgeKeyBy(ask func(path string, body any) (int, []byte, error), nodeKey key.NodePublic,
	host *tailcfg.Hostinfo) (*Denied, error) {
	status, text, err := ask("map", tailcfg.MapRequest{
		Version: tailcfg.CurrentCapabilityVersion, NodeKey: nodeKey, Hostinfo: host, ReadOnly: true, OmitPeers: true,
	})
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusNotFound:
		return &Denied{deniedRemoved, string(text)}, nil
	case status != http.StatusOK:
		return refusalOf(status, text)
	}
	status, text, err = ask("register", tailcfg.RegisterRequest{
		Version: tailcfg.CurrentCapabilityVersion, NodeKey: nodeKey, Hostinfo: host,
	})
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return refusalOf(status, text)
	}
	var answer tailcfg.RegisterResponse
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("control's answer about the node key: %w", err)
	}
	switch {
	case answer.Error != "":
		return &Denied{deniedRefused, answer.Error}, nil
	case answer.NodeKeyExpired:
		return &Denied{deniedExpired, ""}, nil
	case answer.AuthURL != "":
		return &Denied{deniedRemoved, ""}, nil
	}
	return nil, nil
}

// refusalOf returns a refusal for an HTTP status that is one; other statuses say nothing about the device.
func refusalOf(status int, text []byte) (*Denied, error) {
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		return &Denied{deniedRefused, string(text)}, nil
	}
	return nil, fmt.Errorf("control answered %d", status)
}

// askControl sends one request over the engine's encrypted channel to control and returns at most 64 KiB of the answer.
func (e engine) askControl(ctx context.Context, path string, body any) (int, []byte, error) {
	channel, open := e.server.Sys().NoiseRoundTripper.GetOK()
	if !open {
		return 0, nil, errors.New("the engine has no channel to control")
	}
	sent, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	// The channel leads to control, whatever host the URL names.
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://unused/machine/"+path, bytes.NewReader(sent))
	if err != nil {
		return 0, nil, err
	}
	response, err := channel.RoundTrip(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	return response.StatusCode, bytes.TrimSpace(text), err
}

// resumeWithStoredKey restarts the backend with the node key of its state and without an auth key.
func resumeWithStoredKey(ctx context.Context, lc *local.Client) error {
	return lc.Start(ctx, ipn.Options{})
}

// dialTailnet opens a TCP connection through the userspace stack only. tsnet's own Dial falls back to the host's
// network for an address that is not (or no longer) a peer's; this one cannot.
func (e engine) dialTailnet(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	implementation, running := e.server.Sys().Netstack.GetOK()
	stack, ok := implementation.(*netstack.Impl)
	if !running || !ok {
		return nil, errors.New("the node's network stack is not running")
	}
	v4, v6 := e.server.TailscaleIPs()
	from := v4
	if to.Addr().Is6() {
		from = v6
	}
	if !from.IsValid() {
		return nil, errors.New("the node has no address of this family yet")
	}
	conn, err := stack.DialContextTCPWithBind(ctx, from, to)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// acceptRoutes lets this node reach service addresses, which are routes of the nodes that host them.
func acceptRoutes(ctx context.Context, lc *local.Client) error {
	_, err := lc.EditPrefs(ctx, &ipn.MaskedPrefs{Prefs: ipn.Prefs{RouteAll: true}, RouteAllSet: true})
	return err
}

// loginWithKey restarts the backend with a new key and logs in with it. It restarts without a key, too: the backend
// would use the key of its last start, which may be spent, and show no URL.
func loginWithKey(ctx context.Context, lc *local.Client, key string) error {
	if err := lc.Start(ctx, ipn.Options{AuthKey: key}); err != nil {
		return err
	}
	return lc.StartLoginInteractive(ctx)
}

// readServeConfig returns the serve config and why Funnel is not available, nil when it is.
func readServeConfig(ctx context.Context, lc *local.Client, self *ipnstate.PeerStatus) (any, error, error) {
	config, err := lc.GetServeConfig(ctx)
	if err != nil {
		return nil, nil, err
	}
	if config == nil {
		return map[string]any{}, funnelDenied(self), nil
	}
	return config, funnelDenied(self), nil
}

// funnelDenied returns why this node may not use Funnel on 443, or nil.
func funnelDenied(self *ipnstate.PeerStatus) error {
	if self == nil {
		return errors.New("the node has not joined a tailnet yet")
	}
	return ipn.CheckFunnelAccess(443, self)
}

// serviceAddrs returns the addresses of the services that this node may reach, by full and short name.
func serviceAddrs(ctx context.Context, lc *local.Client, suffix string) (map[string][]netip.Addr, error) {
	services, err := lc.GetServices(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[string][]netip.Addr, 2*len(services))
	for name, service := range services {
		short := tailcfg.ServiceName(name).WithoutPrefix()
		names[short] = service.Addrs
		if suffix != "" {
			names[short+"."+suffix] = service.Addrs
		}
	}
	return names, nil
}
