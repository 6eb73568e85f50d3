// The node, its peers and one caller in the channel's shapes.

package core

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"tailscale.com/ipn/ipnstate"
	"tailscale.com/tailcfg"
	"tailscale.com/types/views"
)

func (node *Node) status(ctx context.Context) (*Status, error) {
	raw, err := node.lc.StatusWithoutPeers(ctx)
	if err != nil {
		return nil, err
	}
	node.watch.mu.Lock()
	control := node.watch.control
	node.watch.mu.Unlock()
	status := &Status{State: raw.BackendState, Control: control, Health: orEmpty(slices.Clone(raw.Health)), Domains: orEmpty(raw.CertDomains)}
	for index, line := range status.Health {
		status.Health[index] = node.secrets.clean(line)
	}
	if self := raw.Self; self != nil && self.ID != "" {
		status.Self = selfOf(self, raw.User, time.Now())
		status.HTTPS = self.HasCap(tailcfg.CapabilityHTTPS) && len(raw.CertDomains) > 0
		status.Funnel = funnelDenied(self) == nil
	}
	return status, nil
}

func selfOf(self *ipnstate.PeerStatus, users map[tailcfg.UserID]tailcfg.UserProfile, now time.Time) *Self {
	login, user := loginOf(self, users)
	return &Self{
		ID: string(self.ID), Hostname: self.HostName, DNSName: plainName(self.DNSName), IPs: addrTexts(self.TailscaleIPs),
		Tags: tagsOf(self.Tags), Login: login, UserID: user, KeyExpiry: timeText(self.KeyExpiry),
		KeyExpired: self.Expired || (self.KeyExpiry != nil && !self.KeyExpiry.IsZero() && !self.KeyExpiry.After(now)),
	}
}

func (node *Node) peers(ctx context.Context) (PeersResult, error) {
	raw, err := node.lc.Status(ctx)
	if err != nil {
		return PeersResult{}, err
	}
	self := identityOf(raw)
	peers := make([]Peer, 0, len(raw.Peer))
	for _, peer := range raw.Peer {
		login, user := loginOf(peer, raw.User)
		entry := Peer{
			ID: string(peer.ID), Hostname: peer.HostName, DNSName: plainName(peer.DNSName), IPs: addrTexts(peer.TailscaleIPs),
			Tags: tagsOf(peer.Tags), Login: login, UserID: user, OS: peer.OS, Online: peer.Online,
			LastSeen: timeText(&peer.LastSeen), Path: "none", Relay: peer.Relay, Expired: peer.Expired,
			Shared: peer.ShareeNode || peer.AltSharerUserID != 0 || outsideSuffix(peer.DNSName, self.suffix),
		}
		switch {
		case peer.CurAddr != "":
			entry.Path = "direct"
		case peer.PeerRelay != "", peer.Active && peer.Relay != "":
			entry.Path = "relay"
		}
		peers = append(peers, entry)
	}
	slices.SortFunc(peers, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return PeersResult{Peers: peers}, nil
}

func (node *Node) whoIs(ctx context.Context, addr netip.Addr) (WhoIsResult, error) {
	if _, err := node.look(ctx, 0); err != nil {
		return WhoIsResult{}, err
	}
	judged, err := node.judge(ctx, addr)
	if err != nil {
		return WhoIsResult{}, err
	}
	if judged.refusal != nil {
		return WhoIsResult{}, &Fault{Code: CodeNotFound, Message: fmt.Sprintf("%s: %s", judged.refusal.Code, judged.refusal.Detail), Hint: judged.refusal.Hint}
	}
	return WhoIsResult{Caller: judged.caller}, nil
}

// addressOf finds the address of a peer by its StableNodeID; a miss looks once more with a fresh map.
func (node *Node) addressOf(ctx context.Context, id string) (netip.Addr, error) {
	for _, maxAge := range []time.Duration{0, time.Second} {
		snapshot, err := node.look(ctx, maxAge)
		if err != nil {
			return netip.Addr{}, err
		}
		for _, peer := range snapshot.status.Peer {
			if string(peer.ID) != id || len(peer.TailscaleIPs) == 0 {
				continue
			}
			if index := slices.IndexFunc(peer.TailscaleIPs, netip.Addr.Is4); index >= 0 {
				return peer.TailscaleIPs[index], nil
			}
			return peer.TailscaleIPs[0], nil
		}
	}
	return netip.Addr{}, &Fault{Code: CodeNotFound, Message: fmt.Sprintf("caller_unknown: no peer of this tailnet has the id %.64q", id),
		Hint: "The tailnet's policy may hide it from this node: nodes of a fleet must see each other and each other's callers."}
}

// callerOf is who a node is, by its StableNodeID.
func (node *Node) callerOf(ctx context.Context, id string) (WhoIsResult, error) {
	addr, err := node.addressOf(ctx, id)
	if err != nil {
		return WhoIsResult{}, err
	}
	return node.whoIs(ctx, addr)
}

func (node *Node) serveConfig(ctx context.Context) (ServeConfigResult, error) {
	raw, err := node.lc.StatusWithoutPeers(ctx)
	if err != nil {
		return ServeConfigResult{}, err
	}
	config, denied, err := readServeConfig(ctx, node.lc, raw.Self)
	if err != nil {
		return ServeConfigResult{}, err
	}
	result := ServeConfigResult{Config: config, Funnel: denied == nil}
	if denied != nil {
		result.FunnelReason = denied.Error()
	}
	return result, nil
}

// loginOf answers login and user id; a tagged node has neither, whoever enrolled it.
func loginOf(peer *ipnstate.PeerStatus, users map[tailcfg.UserID]tailcfg.UserProfile) (login, user string) {
	if peer.IsTagged() {
		return "", ""
	}
	return users[peer.UserID].LoginName, userID(peer.UserID)
}

func tagsOf(tags *views.Slice[string]) []string {
	if tags == nil {
		return []string{}
	}
	return orEmpty(slices.Sorted(slices.Values(tags.AsSlice())))
}

func addrTexts(addrs []netip.Addr) []string {
	texts := make([]string, len(addrs))
	for index, addr := range addrs {
		texts[index] = addr.String()
	}
	return texts
}

// timeText is RFC 3339 in UTC, or nil for no time.
func timeText(moment *time.Time) *string {
	if moment == nil || moment.IsZero() {
		return nil
	}
	text := moment.UTC().Format(time.RFC3339)
	return &text
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
