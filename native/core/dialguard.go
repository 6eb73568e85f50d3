// The dial guard. Resolves a destination with the network map only, allows known peers and service addresses, and dials
// that literal address through the tailnet's own stack. Never uses host DNS or the host's network.

package core

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"tailscale.com/client/local"
)

var (
	magicDNS4 = netip.MustParseAddr("100.100.100.100")
	magicDNS6 = netip.MustParseAddr("fd7a:115c:a1e0::53")
	via6      = netip.MustParsePrefix("fd7a:115c:a1e0:b1a::/64")
	cgnat     = netip.MustParsePrefix("100.64.0.0/10")
	tailnet6  = netip.MustParsePrefix("fd7a:115c:a1e0::/48")
)

// dialRefused is the error for a destination that the guard refuses.
type dialRefused struct{ target, why string }

// Error returns the target and the reason.
func (d *dialRefused) Error() string {
	return fmt.Sprintf("refused to dial %.200s: %s", d.target, d.why)
}

// errNoMap is no refusal: the destination may be a peer that this node does not know yet.
var errNoMap = errors.New("the network map of this tailnet has not arrived yet")

// resolve returns the literal address that may be dialed for a target.
func (n *Node) resolve(ctx context.Context, target string) (netip.AddrPort, error) {
	host, portText, err := net.SplitHostPort(target)
	if err != nil {
		return netip.AddrPort{}, &dialRefused{target, "it is not host:port"}
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return netip.AddrPort{}, &dialRefused{target, "the port is not 1 to 65535"}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		if addr, err = n.lookUpName(ctx, host); err != nil {
			return netip.AddrPort{}, err
		}
	} else if addr.Zone() != "" {
		return netip.AddrPort{}, &dialRefused{target, "addresses with a zone are local to this host"}
	}
	checked, err := n.admitAddr(ctx, addr.Unmap())
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(checked, uint16(port)), nil
}

// lookUpName finds a peer or service by full or short MagicDNS name; on a miss it retries with a fresh map.
func (n *Node) lookUpName(ctx context.Context, host string) (netip.Addr, error) {
	name := normalizeName(host)
	arrived := false
	for _, maxAge := range []time.Duration{0, time.Second} {
		snapshot, err := n.look(ctx, maxAge)
		if err != nil {
			return netip.Addr{}, err
		}
		arrived = snapshot.arrived()
		if snapshot.hosts[name] {
			return netip.Addr{}, &dialRefused{host, "it is this node itself"}
		}
		if addrs := snapshot.names[name]; len(addrs) > 0 {
			if index := slices.IndexFunc(addrs, netip.Addr.Is4); index >= 0 {
				return addrs[index], nil
			}
			return addrs[0], nil
		}
	}
	if !arrived {
		return netip.Addr{}, errNoMap
	}
	return netip.Addr{}, &dialRefused{host, "no peer or service of this tailnet has that name"}
}

// admitAddr returns the address if it belongs to a known peer or service in the current network map.
func (n *Node) admitAddr(ctx context.Context, addr netip.Addr) (netip.Addr, error) {
	snapshot, err := n.look(ctx, 0)
	if err != nil {
		return netip.Addr{}, err
	}
	text := addr.String()
	if reason := snapshot.refuseAddr(addr); reason != "" {
		return netip.Addr{}, &dialRefused{text, reason}
	}
	if snapshot.services[addr] {
		return addr, nil
	}
	if !snapshot.arrived() {
		return netip.Addr{}, errNoMap
	}
	whois, err := n.lc.WhoIs(ctx, text)
	if errors.Is(err, local.ErrPeerNotFound) || (err == nil && (whois.Node == nil || !ownsAddress(whois.Node, addr))) {
		return netip.Addr{}, &dialRefused{text, "no peer of this tailnet has that address"}
	}
	if err != nil {
		return netip.Addr{}, err
	}
	switch {
	case whois.Node.IsWireGuardOnly:
		return netip.Addr{}, &dialRefused{text, "it is a plain WireGuard peer"}
	case whois.Node.Expired:
		return netip.Addr{}, &dialRefused{text, "the peer's node key has expired"}
	}
	return addr, nil
}

// refuseAddr returns why an address can be neither a peer's nor a service's, or "".
func (v *view) refuseAddr(addr netip.Addr) string {
	switch {
	case v.selfIPs[addr]:
		return "it is this node itself"
	case addr == magicDNS4 || addr == magicDNS6:
		return "it is the tailnet's own resolver"
	case via6.Contains(addr):
		return "it is a 4via6 address, which leads out of the tailnet"
	case addr.IsLoopback() || addr.IsUnspecified() || addr.IsLinkLocalUnicast() || addr.IsMulticast():
		return "it is local to this host"
	case !v.services[addr] && !cgnat.Contains(addr) && !tailnet6.Contains(addr):
		return "it is not a tailnet address"
	}
	return ""
}
