// Packet filters: all nodes may reach each other; grants add capabilities. Like control, it writes them per
// destination, where WhoIs looks for them.

package tailnettest

import (
	"slices"
	"strings"

	"tailscale.com/tailcfg"
)

func (t *Tailnet) filterLocked(self *node) []tailcfg.FilterRule {
	var sources []string
	for _, n := range t.sortedLocked() {
		// Nodes refuse a whole filter that names an unsigned peer as a source.
		if !n.unsigned || n == self {
			sources = append(sources, sourceIPs(n)...)
			for _, route := range n.routes {
				sources = append(sources, route.String())
			}
		}
	}
	rules := []tailcfg.FilterRule{{
		SrcIPs:   sources,
		DstPorts: []tailcfg.NetPortRange{{IP: "*", Ports: tailcfg.PortRangeAny}},
	}}
	for _, grant := range t.grants {
		if rule, ok := t.grantLocked(self, grant); ok {
			rules = append(rules, rule)
		}
	}
	return rules
}

func (t *Tailnet) grantLocked(self *node, grant Grant) (tailcfg.FilterRule, bool) {
	if len(grant.App) == 0 || !t.namedLocked(grant.Dst, self) {
		return tailcfg.FilterRule{}, false
	}
	var sources []string
	for _, n := range t.sortedLocked() {
		if !n.unsigned && t.namedLocked(grant.Src, n) {
			sources = append(sources, sourceIPs(n)...)
		}
	}
	if len(sources) == 0 {
		return tailcfg.FilterRule{}, false
	}
	capabilities := tailcfg.PeerCapMap{}
	for name, objects := range grant.App {
		values := make([]tailcfg.RawMessage, 0, len(objects))
		for _, object := range objects {
			values = append(values, tailcfg.RawMessage(object))
		}
		capabilities[tailcfg.PeerCapability(name)] = values
	}
	return tailcfg.FilterRule{
		SrcIPs:   sources,
		CapGrant: []tailcfg.CapGrant{{Dsts: self.addresses(), CapMap: capabilities}},
	}, true
}

// namedLocked reports whether one of the names of a grant matches this node.
func (t *Tailnet) namedLocked(names []string, n *node) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		switch {
		case name == "*", name == string(n.stableID()), name == n.hostname():
			return true
		case strings.HasPrefix(name, "tag:"):
			return slices.Contains(n.tags, name)
		}
		return len(n.tags) == 0 && name == n.login()
	})
}

func sourceIPs(n *node) []string {
	var ips []string
	for _, address := range n.addresses() {
		ips = append(ips, address.Addr().String())
	}
	return ips
}
