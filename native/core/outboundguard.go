// Decides what may be dialed on the host's network (security.md 19): public addresses, and what outbound.allow lists.
// Resolves a name once and dials the literal address that was checked.

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

// addressTimeout bounds the dial of one address, so that an unreachable one leaves time for the next.
const addressTimeout = 4 * time.Second

var publicIPv6 = netip.MustParsePrefix("2000::/3")

// specialNetworks are the address ranges without public hosts (IANA's special-purpose registries).
var specialNetworks = func() (list []netip.Prefix) {
	for _, text := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}()

// isPublic reports whether an address is a public Internet address; unknown ranges are not.
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

// parseOutboundRule parses host, 10.0.0.1, 10.0.0.0/8, [fd00::1] or [fd00::/8], each with an optional :port.
func parseOutboundRule(text string) (outboundRule, error) {
	var rule outboundRule
	hostPart, portText := text, ""
	if end := strings.LastIndex(text, ":"); end > strings.LastIndex(text, "]") {
		hostPart, portText = text[:end], text[end+1:]
		port, err := strconv.ParseUint(portText, 10, 16)
		if err != nil || port == 0 {
			return rule, fmt.Errorf("the port of %.200q is not 1 to 65535", text)
		}
		rule.port = uint16(port)
	}
	bare := hostPart
	if strings.HasPrefix(hostPart, "[") && strings.HasSuffix(hostPart, "]") {
		bare = hostPart[1 : len(hostPart)-1]
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
	if hostPart != bare || hostPart == "" || strings.ContainsAny(hostPart, "/:@ *[]") {
		return rule, fmt.Errorf("%.200q is not a host, address or network", text)
	}
	rule.host = normalizeName(hostPart)
	return rule, nil
}

func parseOutboundRules(texts []string) ([]outboundRule, error) {
	if len(texts) > maxOutboundRules {
		return nil, fmt.Errorf("there are %d entries; at most %d are allowed", len(texts), maxOutboundRules)
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

// outboundGuard checks and dials addresses on the host's network.
type outboundGuard struct {
	rules []outboundRule
	// lookUp and ownAddrs query this machine; tests replace them.
	lookUp   func(ctx context.Context, host string) ([]netip.Addr, error)
	ownAddrs func() []netip.Addr
}

func newOutboundGuard(rules []outboundRule) *outboundGuard {
	return &outboundGuard{
		rules:    rules,
		ownAddrs: interfaceAddrs,
		lookUp: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
	}
}

// outboundRefused is the error for a destination that the guard refuses.
type outboundRefused struct{ target, why string }

// Error returns the destination and the reason.
func (o *outboundRefused) Error() string {
	return fmt.Sprintf("refused to reach %.200s: %s", o.target, o.why)
}

// lists reports whether an entry names the host, or a network with the address; the zero address is in none.
func (g *outboundGuard) lists(host string, to netip.AddrPort) bool {
	return slices.ContainsFunc(g.rules, func(rule outboundRule) bool {
		matches := rule.host != "" && rule.host == normalizeName(host) ||
			rule.network.IsValid() && rule.network.Contains(to.Addr())
		return matches && (rule.port == 0 || rule.port == to.Port())
	})
}

// admit checks one address that host resolved to. Plain http needs an entry in the list.
func (g *outboundGuard) admit(host string, to netip.AddrPort, plain bool) error {
	addr := to.Addr()
	switch {
	case g.lists(host, to):
		return nil
	case !isPublic(addr):
		return &outboundRefused{to.String(), "it is not a public address, and outbound.allow does not list it"}
	case slices.Contains(g.ownAddrs(), addr):
		return &outboundRefused{to.String(), "it is this machine, and outbound.allow does not list it"}
	case plain:
		return &outboundRefused{
			net.JoinHostPort(host, strconv.Itoa(int(to.Port()))),
			"plain http is only allowed to what outbound.allow lists",
		}
	}
	return nil
}

// dial resolves a target once and dials its allowed addresses one after another.
func (g *outboundGuard) dial(ctx context.Context, target string, plain bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	host, portText, err := net.SplitHostPort(target)
	if err != nil {
		return nil, &outboundRefused{target, "it is not host:port"}
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, &outboundRefused{target, "the port is not 1 to 65535"}
	}
	addrs, err := g.addressesOf(ctx, host)
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, addr := range addrs {
		to := netip.AddrPortFrom(addr, uint16(port))
		if err := g.admit(host, to, plain); err != nil {
			problems = append(problems, err)
			continue
		}
		conn, err := g.dialLiteral(ctx, host, to, plain)
		if err == nil {
			return conn, nil
		}
		problems = append(problems, err)
	}
	return nil, fmt.Errorf("cannot reach %.200s: %w", target, errors.Join(problems...))
}

// addressesOf returns host itself if it is an address, or else the addresses that the machine's resolver returns.
func (g *outboundGuard) addressesOf(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Is4In6() || addr.Zone() != "" {
			return nil, &outboundRefused{host, "write the address itself, not mapped and without a zone"}
		}
		return []netip.Addr{addr}, nil
	}
	found, err := g.lookUp(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("the name %.200s cannot be resolved: %w", host, err)
	}
	addrs := make([]netip.Addr, 0, len(found))
	for _, addr := range found {
		// The resolver returns IPv4 addresses in either form; both are checked as the address that is dialed.
		if plain := addr.Unmap(); !slices.Contains(addrs, plain) {
			addrs = append(addrs, plain)
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("the name %.200s has no address", host)
	}
	return addrs, nil
}

// dialLiteral opens the connection and checks the address once more right before the system connects.
func (g *outboundGuard) dialLiteral(ctx context.Context, host string, to netip.AddrPort, plain bool) (net.Conn, error) {
	dialer := net.Dialer{Timeout: addressTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		actual, err := netip.ParseAddrPort(address)
		if err != nil {
			return &outboundRefused{address, "it is not an address"}
		}
		return g.admit(host, netip.AddrPortFrom(actual.Addr().Unmap(), actual.Port()), plain)
	}}
	return dialer.DialContext(ctx, "tcp", to.String())
}

// interfaceAddrs returns the addresses of this machine.
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
