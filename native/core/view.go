// A snapshot of the network map as the rules need it: our own names for the Host rule, the
// peers' and services' names and addresses for the dial guard. Kept until something changes.

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

// markDirty makes the next look ask the engine again.
func (cache *viewCache) markDirty() {
	cache.mu.Lock()
	cache.dirty = true
	cache.mu.Unlock()
}

// look answers the snapshot; one that is older than maxAge (0: any age) or outdated is taken anew.
func (node *Node) look(ctx context.Context, maxAge time.Duration) (*view, error) {
	cache := &node.view
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if cache.current != nil && !cache.dirty && (maxAge == 0 || time.Since(cache.current.takenAt) < maxAge) {
		return cache.current, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cache.dirty = false
	status, err := node.lc.Status(ctx)
	if err != nil {
		cache.dirty = true
		return nil, err
	}
	self := identityOf(status)
	fresh := newView(status, self)
	if services, err := serviceAddrs(ctx, node.lc, self.suffix); err == nil {
		for name, addrs := range services {
			fresh.addName(name, addrs)
			for _, addr := range addrs {
				fresh.services[addr] = true
			}
		}
	}
	node.identity.Store(&self)
	cache.current = fresh
	return fresh, nil
}

func newView(status *ipnstate.Status, self identity) *view {
	fresh := &view{status: status, hosts: map[string]bool{}, selfIPs: map[netip.Addr]bool{},
		names: map[string][]netip.Addr{}, services: map[netip.Addr]bool{}, takenAt: time.Now()}
	for _, addr := range status.TailscaleIPs {
		fresh.selfIPs[addr] = true
		fresh.hosts[addr.String()] = true
	}
	for _, domain := range status.CertDomains {
		fresh.hosts[plainName(domain)] = true
	}
	if status.Self != nil && status.Self.DNSName != "" {
		full := plainName(status.Self.DNSName)
		short, _, _ := strings.Cut(full, ".")
		fresh.hosts[full], fresh.hosts[short] = true, true
	}
	for _, record := range status.ExtraRecords {
		if addr, err := netip.ParseAddr(record.Value); err == nil && (record.Type == "" || record.Type == "A" || record.Type == "AAAA") {
			fresh.addName(plainName(record.Name), []netip.Addr{addr})
		}
	}
	for _, peer := range status.Peer {
		full := plainName(peer.DNSName)
		if full == "" {
			continue
		}
		fresh.names[full] = peer.TailscaleIPs
		if short, rest, _ := strings.Cut(full, "."); rest == self.suffix {
			fresh.names[short] = peer.TailscaleIPs
		}
	}
	return fresh
}

// addName never overrides a peer's own name.
func (fresh *view) addName(name string, addrs []netip.Addr) {
	if _, taken := fresh.names[name]; !taken && name != "" && len(addrs) > 0 {
		fresh.names[name] = addrs
	}
}

// plainName is a DNS name in lower case without its final dot.
func plainName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
