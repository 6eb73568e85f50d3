// What of the host's network may be dialled (security.md 19): public addresses, and what
// outbound.allow lists. A name is resolved once, and the literal address that was judged is dialled.

package core

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const maxOutboundRules = 256

// addressTimeout bounds the try of one address, so that a dead one leaves time for the next.
const addressTimeout = 4 * time.Second

var publicIPv6 = netip.MustParsePrefix("2000::/3")

// specialNetworks are the parts of the address space that lead to no public host (IANA's special-purpose registries).
var specialNetworks = func() (list []netip.Prefix) {
	for _, text := range []string{"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}()

// isPublic reports whether an address is one of the Internet's; everything unknown is not.
func isPublic(addr netip.Addr) bool {
	if addr.Zone() != "" || (addr.Is6() && !publicIPv6.Contains(addr)) {
		return false
	}
	return !slices.ContainsFunc(specialNetworks, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// outboundRule is one entry of outbound.allow: a name or a network, and a port or 0 for any.
type outboundRule struct {
	host    string
	network netip.Prefix
	port    uint16
}

// parseOutboundRule reads host, 10.0.0.1, 10.0.0.0/8, [fd00::1] or [fd00::/8], each with :port if wanted.
func parseOutboundRule(text string) (outboundRule, error) {
	var rule outboundRule
	place, portText := text, ""
	if end := strings.LastIndex(text, ":"); end > strings.LastIndex(text, "]") {
		place, portText = text[:end], text[end+1:]
		port, err := strconv.ParseUint(portText, 10, 16)
		if err != nil || port == 0 {
			return rule, fmt.Errorf("the port of %.200q is not 1 to 65535", text)
		}
		rule.port = uint16(port)
	}
	bare := place
	if strings.HasPrefix(place, "[") && strings.HasSuffix(place, "]") {
		bare = place[1 : len(place)-1]
	}
	if addr, err := netip.ParseAddr(bare); err == nil {
		if addr.Zone() != "" {
			return rule, fmt.Errorf("%.200q has a zone", text)
		}
		rule.network = netip.PrefixFrom(addr, addr.BitLen())
		return rule, nil
	}
	if network, err := netip.ParsePrefix(bare); err == nil {
		rule.network = network.Masked()
		return rule, nil
	}
	if place != bare || place == "" || strings.ContainsAny(place, "/:@ *") {
		return rule, fmt.Errorf("%.200q is no host, address or network", text)
	}
	rule.host = plainName(place)
	return rule, nil
}

func parseOutboundRules(texts []string) ([]outboundRule, error) {
	if len(texts) > maxOutboundRules {
		return nil, fmt.Errorf("there are %d entries; at most %d are taken", len(texts), maxOutboundRules)
	}
	rules := make([]outboundRule, 0, len(texts))
	for _, text := range texts {
		rule, err := parseOutboundRule(text)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// outboundGuard judges and dials.
type outboundGuard struct {
	rules []outboundRule
	// lookUp and ownAddrs are the machine's; tests put others in their place.
	lookUp   func(ctx context.Context, host string) ([]netip.Addr, error)
	ownAddrs func() []netip.Addr
}

func newOutboundGuard(rules []outboundRule) *outboundGuard {
	return &outboundGuard{rules: rules, ownAddrs: interfaceAddrs, lookUp: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}}
}

// outboundRefused says which place was refused, and why.
type outboundRefused struct{ target, why string }

// Error names the place and the reason.
func (refused *outboundRefused) Error() string {
	return fmt.Sprintf("refused to reach %.200s: %s", refused.target, refused.why)
}

// admit judges one address that host stands for. Plain http goes only where the list allows it.
func (guard *outboundGuard) admit(host string, to netip.AddrPort, plain bool) error {
	addr := to.Addr()
	listed := slices.ContainsFunc(guard.rules, func(rule outboundRule) bool {
		inPlace := rule.host != "" && rule.host == plainName(host) || rule.network.IsValid() && rule.network.Contains(addr)
		return inPlace && (rule.port == 0 || rule.port == to.Port())
	})
	switch {
	case listed:
		return nil
	case !isPublic(addr):
		return &outboundRefused{to.String(), "it is no public address, and outbound.allow does not list it"}
	case slices.Contains(guard.ownAddrs(), addr):
		return &outboundRefused{to.String(), "it is this machine, and outbound.allow does not list it"}
	case plain:
		return &outboundRefused{net.JoinHostPort(host, strconv.Itoa(int(to.Port()))), "plain http is for places that outbound.allow lists"}
	}
	return nil
}

// dial resolves a target once, and dials those of its addresses that may be dialled, one after another.
func (guard *outboundGuard) dial(ctx context.Context, target string, plain bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	host, portText, err := net.SplitHostPort(target)
	if err != nil {
		return nil, &outboundRefused{target, "it is no host:port"}
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, &outboundRefused{target, "the port is not 1 to 65535"}
	}
	addrs, err := guard.addressesOf(ctx, host)
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, addr := range addrs {
		to := netip.AddrPortFrom(addr, uint16(port))
		if err := guard.admit(host, to, plain); err != nil {
			problems = append(problems, err)
			continue
		}
		conn, err := guard.dialLiteral(ctx, host, to, plain)
		if err == nil {
			return conn, nil
		}
		problems = append(problems, err)
	}
	return nil, fmt.Errorf("cannot reach %.200s: %w", target, errors.Join(problems...))
}

// addressesOf answers the address that host is, or those that the machine's resolver knows for it.
func (guard *outboundGuard) addressesOf(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Is4In6() || addr.Zone() != "" {
			return nil, &outboundRefused{host, "write the address itself, not mapped and without a zone"}
		}
		return []netip.Addr{addr}, nil
	}
	found, err := guard.lookUp(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("the name %.200s cannot be resolved: %w", host, err)
	}
	addrs := make([]netip.Addr, 0, len(found))
	for _, addr := range found {
		// The resolver writes IPv4 addresses in either form; both are judged as what is dialled.
		if plain := addr.Unmap(); !slices.Contains(addrs, plain) {
			addrs = append(addrs, plain)
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("the name %.200s has no address", host)
	}
	return addrs, nil
}

// dialLiteral opens the connection; the address is judged once more where the system is about to connect to it.
func (guard *outboundGuard) dialLiteral(ctx context.Context, host string, to netip.AddrPort, plain bool) (net.Conn, error) {
	dialer := net.Dialer{Timeout: addressTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		actual, err := netip.ParseAddrPort(address)
		if err != nil {
			return &outboundRefused{address, "it is no address"}
		}
		return guard.admit(host, netip.AddrPortFrom(actual.Addr().Unmap(), actual.Port()), plain)
	}}
	return dialer.DialContext(ctx, "tcp", to.String())
}

// interfaceAddrs answers the addresses of this machine.
func interfaceAddrs() []netip.Addr {
	known, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	addrs := make([]netip.Addr, 0, len(known))
	for _, addr := range known {
		if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
			addrs = append(addrs, prefix.Addr().Unmap())
		}
	}
	return addrs
}
