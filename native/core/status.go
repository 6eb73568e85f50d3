// Converts the node, its peers and one caller to the channel's messages.

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

func (n *Node) status(ctx context.Context) (*Status, error) {
	raw, err := n.lc.StatusWithoutPeers(ctx)
	if err != nil {
		return nil, err
	}
	n.watch.mu.Lock()
	control, denied := n.watch.control, n.watch.denied
	n.watch.mu.Unlock()
	status := &Status{
		State:   raw.BackendState,
		Control: control,
		Denied:  denied,
		Health:  orEmpty(slices.Clone(raw.Health)),
		Domains: orEmpty(raw.CertDomains),
	}
	for index, line := range status.Health {
		status.Health[index] = n.secrets.clean(line)
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
		ID: string(self.ID), Hostname: self.HostName, DNSName: normalizeName(self.DNSName), IPs: addrTexts(self.TailscaleIPs),
		Tags: tagsOf(self.Tags), Login: login, UserID: user, KeyExpiry: timeText(self.KeyExpiry),
		KeyExpired: self.Expired || (self.KeyExpiry != nil && !self.KeyExpiry.IsZero() && !self.KeyExpiry.After(now)),
	}
}

func (n *Node) peers(ctx context.Context) (PeersResult, error) {
	raw, err := n.lc.Status(ctx)
	if err != nil {
		return PeersResult{}, err
	}
	self := identityOf(raw)
	peers := make([]Peer, 0, len(raw.Peer))
	for _, peer := range raw.Peer {
		login, user := loginOf(peer, raw.User)
		entry := Peer{
			ID: string(
				peer.ID), Hostname: peer.HostName, DNSName: normalizeName(peer.DNSName), IPs: addrTexts(peer.TailscaleIPs),
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

func (n *Node) whoIs(ctx context.Context, addr netip.Addr) (WhoIsResult, error) {
	if _, err := n.look(ctx, 0); err != nil {
		return WhoIsResult{}, err
	}
	check, err := n.checkCaller(ctx, addr)
	if err != nil {
		return WhoIsResult{}, err
	}
	if check.refusal != nil {
		return WhoIsResult{}, &Fault{
			Code:    CodeNotFound,
			Message: fmt.Sprintf("%s: %s", check.refusal.Code, check.refusal.Detail),
			Hint:    check.refusal.Hint,
		}
	}
	return WhoIsResult{Caller: check.caller}, nil
}

// addressOf returns the address of a peer by its StableNodeID; on a miss it retries with a fresh map.
func (n *Node) addressOf(ctx context.Context, id string) (netip.Addr, error) {
	for _, maxAge := range []time.Duration{0, time.Second} {
		snapshot, err := n.look(ctx, maxAge)
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
	return netip.Addr{}, &Fault{
		Code:    CodeNotFound,
		Message: fmt.Sprintf("caller_unknown: no peer of this tailnet has the id %.64q", id),
		Hint: "The tailnet's policy may hide it from this node: " +
			"nodes of a fleet must see each other and each other's callers.",
	}
}

// callerOf returns the caller with that StableNodeID.
func (n *Node) callerOf(ctx context.Context, id string) (WhoIsResult, error) {
	addr, err := n.addressOf(ctx, id)
	if err != nil {
		return WhoIsResult{}, err
	}
	return n.whoIs(ctx, addr)
}

func (n *Node) serveConfig(ctx context.Context) (ServeConfigResult, error) {
	raw, err := n.lc.StatusWithoutPeers(ctx)
	if err != nil {
		return ServeConfigResult{}, err
	}
	config, denied, err := readServeConfig(ctx, n.lc, raw.Self)
	if err != nil {
		return ServeConfigResult{}, err
	}
	result := ServeConfigResult{Config: config, Funnel: denied == nil}
	if denied != nil {
		result.FunnelReason = denied.Error()
	}
	return result, nil
}

// loginOf returns login and user id; both are empty for a tagged node.
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

// timeText returns RFC 3339 in UTC, or nil for the zero time.
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
