// A snapshot of the network map for the rules: our own names for the Host rule, the names and addresses of peers and
// services for the dial guard. Cached until something changes.

package core

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"tailscale.com/ipn/ipnstate"
)

type view struct {
	status   *ipnstate.Status
	hosts    map[string]bool         // names and addresses of this node itself
	selfIPs  map[netip.Addr]bool     // all addresses of this node
	names    map[string][]netip.Addr // peers and services by lower-case name, full and short
	services map[netip.Addr]bool
	takenAt  time.Time
}

type viewCache struct {
	mu      sync.Mutex
	current *view
	dirty   bool
}

// markDirty makes the next look query the engine.
func (c *viewCache) markDirty() {
	c.mu.Lock()
	c.dirty = true
	c.mu.Unlock()
}

// look returns the cached view, refreshing it if it is dirty or older than maxAge (0: any age).
func (n *Node) look(ctx context.Context, maxAge time.Duration) (*view, error) {
	cache := &n.view
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if cache.current != nil && !cache.dirty && (maxAge == 0 || time.Since(cache.current.takenAt) < maxAge) {
		return cache.current, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cache.dirty = false
	status, err := n.lc.Status(ctx)
	if err != nil {
		cache.dirty = true
		return nil, err
	}
	self := identityOf(status)
	fresh := newView(status, self)
	if services, err := serviceAddrs(ctx, n.lc, self.suffix); err == nil {
		for name, addrs := range services {
			fresh.addName(name, addrs)
			for _, addr := range addrs {
				fresh.services[addr] = true
			}
		}
	}
	n.identity.Store(&self)
	cache.current = fresh
	return fresh, nil
}

func newView(status *ipnstate.Status, self identity) *view {
	v := &view{status: status, hosts: map[string]bool{}, selfIPs: map[netip.Addr]bool{},
		names: map[string][]netip.Addr{}, services: map[netip.Addr]bool{}, takenAt: time.Now()}
	for _, addr := range status.TailscaleIPs {
		v.selfIPs[addr] = true
		v.hosts[addr.String()] = true
	}
	for _, domain := range status.CertDomains {
		v.hosts[normalizeName(domain)] = true
	}
	if status.Self != nil && status.Self.DNSName != "" {
		full := normalizeName(status.Self.DNSName)
		short, _, _ := strings.Cut(full, ".")
		v.hosts[full], v.hosts[short] = true, true
	}
	for _, record := range status.ExtraRecords {
		if addr, err := netip.ParseAddr(record.Value); err == nil &&
			(record.Type == "" || record.Type == "A" || record.Type == "AAAA") {
			v.addName(normalizeName(record.Name), []netip.Addr{addr})
		}
	}
	for _, peer := range status.Peer {
		full := normalizeName(peer.DNSName)
		if full == "" {
			continue
		}
		v.names[full] = peer.TailscaleIPs
		if short, rest, _ := strings.Cut(full, "."); rest == self.suffix {
			v.names[short] = peer.TailscaleIPs
		}
	}
	return v
}

// arrived reports whether this process has had a network map, without which nothing is known of any peer.
func (v *view) arrived() bool { return v.status.Self != nil && v.status.Self.ID != "" }

// addName adds a name unless it is a peer's own.
func (v *view) addName(name string, addrs []netip.Addr) {
	if _, taken := v.names[name]; !taken && name != "" && len(addrs) > 0 {
		v.names[name] = addrs
	}
}

// normalizeName returns a DNS name in lower case without its final dot.
func normalizeName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
