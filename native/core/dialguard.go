// The dial guard: a destination is resolved by the network map, must be a known peer or service
// address, and that literal address is dialled through the tailnet's own stack. Never host DNS,
// never the host's network.

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

// dialRefused says which destination the guard refused, and why.
type dialRefused struct{ target, why string }

// Error names the target and the reason.
func (refused *dialRefused) Error() string {
	return fmt.Sprintf("refused to dial %.200s: %s", refused.target, refused.why)
}

// resolve answers the literal address that may be dialled for a target.
func (node *Node) resolve(ctx context.Context, target string) (netip.AddrPort, error) {
	host, portText, err := net.SplitHostPort(target)
	if err != nil {
		return netip.AddrPort{}, &dialRefused{target, "it is no host:port"}
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return netip.AddrPort{}, &dialRefused{target, "the port is not 1 to 65535"}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		if addr, err = node.lookUpName(ctx, host); err != nil {
			return netip.AddrPort{}, err
		}
	} else if addr.Zone() != "" {
		return netip.AddrPort{}, &dialRefused{target, "addresses with a zone are links of this host"}
	}
	checked, err := node.admitAddr(ctx, addr.Unmap())
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(checked, uint16(port)), nil
}

// lookUpName finds a peer or service by full or short MagicDNS name; a miss looks once more with a fresh map.
func (node *Node) lookUpName(ctx context.Context, host string) (netip.Addr, error) {
	name := plainName(host)
	for _, maxAge := range []time.Duration{0, time.Second} {
		snapshot, err := node.look(ctx, maxAge)
		if err != nil {
			return netip.Addr{}, err
		}
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
	return netip.Addr{}, &dialRefused{host, "no peer or service of this tailnet has that name"}
}

// admitAddr answers the address if it belongs to a known peer or service, judged by the network map of this moment.
func (node *Node) admitAddr(ctx context.Context, addr netip.Addr) (netip.Addr, error) {
	snapshot, err := node.look(ctx, 0)
	if err != nil {
		return netip.Addr{}, err
	}
	text := addr.String()
	switch {
	case snapshot.selfIPs[addr]:
		return netip.Addr{}, &dialRefused{text, "it is this node itself"}
	case addr == magicDNS4 || addr == magicDNS6:
		return netip.Addr{}, &dialRefused{text, "it is the tailnet's own resolver"}
	case via6.Contains(addr):
		return netip.Addr{}, &dialRefused{text, "it is a 4via6 address, which leads out of the tailnet"}
	case addr.IsLoopback() || addr.IsUnspecified() || addr.IsLinkLocalUnicast() || addr.IsMulticast():
		return netip.Addr{}, &dialRefused{text, "it is local to this host"}
	case snapshot.services[addr]:
		return addr, nil
	case !cgnat.Contains(addr) && !tailnet6.Contains(addr):
		return netip.Addr{}, &dialRefused{text, "it is no tailnet address"}
	}
	who, err := node.lc.WhoIs(ctx, text)
	if errors.Is(err, local.ErrPeerNotFound) || (err == nil && (who.Node == nil || !ownsAddress(who.Node, addr))) {
		return netip.Addr{}, &dialRefused{text, "no peer of this tailnet has that address"}
	}
	if err != nil {
		return netip.Addr{}, err
	}
	switch {
	case who.Node.IsWireGuardOnly:
		return netip.Addr{}, &dialRefused{text, "it is a plain WireGuard peer"}
	case who.Node.Expired:
		return netip.Addr{}, &dialRefused{text, "the peer's node key has expired"}
	}
	return addr, nil
}
