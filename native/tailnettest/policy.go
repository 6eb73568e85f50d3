// What tests set: what a hostname becomes, which nodes may join, which have which capabilities, and the state of single
// nodes.

package tailnettest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"tailscale.com/net/tsaddr"
	"tailscale.com/tailcfg"
)

// AuthMode is what an unknown node must present.
type AuthMode string

const (
	AuthOpen        AuthMode = "open"        // nothing; keys listed as expired are still refused
	AuthKey         AuthMode = "key"         // a valid auth key; without any key it gets a login URL
	AuthInteractive AuthMode = "interactive" // a login URL to be completed, or a valid auth key
	AuthRefuse      AuthMode = "refuse"      // nothing helps: control refuses every new node in words
)

// Foreign is how a node belongs to another tailnet. Each kind has a DNS name and a user of another domain.
type Foreign string

const (
	ForeignNo       Foreign = ""
	ForeignSharedIn Foreign = "shared-in" // and Node.Sharer is set
	ForeignSharee   Foreign = "sharee"    // and Hostinfo.ShareeNode is set: its user was given one of our nodes
	ForeignDomain   Foreign = "domain"    // and nothing else shows it
)

// Expect is what the machine that registers with this hostname becomes.
type Expect struct {
	Hostname  string
	User      string // login; default DefaultUser
	Tags      []string
	IP        netip.Addr // default: the next free one
	KeyExpiry time.Time  // zero: never
	// Source, outside the tailnet's range, makes the node send from that address like a machine behind a subnet router:
	// others have no node for it.
	Source netip.Addr
}

// Grant gives sources capabilities on destinations. Entries are "*", a hostname, a stable id, "tag:x" or a login
// (untagged nodes of that user).
type Grant struct {
	Src []string                     `json:"src"`
	Dst []string                     `json:"dst"`
	App map[string][]json.RawMessage `json:"app"`
}

// Change is a change of one node; nil fields stay as they are.
type Change struct {
	User          *string
	Tags          *[]string
	KeyExpiry     *time.Time // zero: never. The node itself sees this one, too
	Expired       *bool      // only what the others see; the node keeps sending
	Foreign       *Foreign
	Unsigned      *bool
	Jailed        *bool
	WireGuardOnly *bool
	SubnetRoutes  *[]netip.Prefix
	IP            *netip.Addr // its IPv4 address; IPv6 follows from it
	Name          *string     // first part of its DNS name, as an admin renames a machine; its hostname stays
	Refused       *string     // control answers the node itself with this error, and sends it no map; "" takes it back
}

// NodeInfo is a node as returned by Nodes.
type NodeInfo struct {
	ID       string   `json:"id"`
	Hostname string   `json:"hostname"`
	IPs      []string `json:"ips"`
	User     string   `json:"user"`
	Tags     []string `json:"tags"`
	Online   bool     `json:"online"`
}

// Expect announces a hostname. It must be called before that machine registers.
func (t *Tailnet) Expect(expect Expect) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case expect.Hostname == "":
		return fmt.Errorf("expect needs a hostname")
	case expect.IP.IsValid() && !expect.IP.Is4():
		return fmt.Errorf("expect: ip must be an IPv4 address in 100.64.0.0/10, not %s", expect.IP)
	case len(t.expected) >= maxExpected:
		return fmt.Errorf("more than %d expected hostnames", maxExpected)
	}
	if err := checkTags(expect.Tags); err != nil {
		return err
	}
	if err := t.roomForUserLocked(expect.User); err != nil {
		return err
	}
	t.expected[expect.Hostname] = expect
	return nil
}

// Auth sets what new nodes must present. Known nodes are not checked again.
func (t *Tailnet) Auth(mode AuthMode, keys, expiredKeys []string) error {
	if mode != AuthOpen && mode != AuthKey && mode != AuthInteractive && mode != AuthRefuse {
		return fmt.Errorf("unknown auth mode %q: use open, key, interactive or refuse", mode)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.auth = authPolicy{mode: mode, keys: slices.Clone(keys), expired: slices.Clone(expiredKeys)}
	return nil
}

// CompleteLogin does what a user does on the page of a login URL.
func (t *Tailnet) CompleteLogin(url string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	pending := t.logins[strings.TrimPrefix(url, t.ControlURL())]
	if pending == nil {
		return fmt.Errorf("no login waits at %q", url)
	}
	select {
	case <-pending.done:
	default:
		close(pending.done)
	}
	return nil
}

// Grants replaces all grants.
func (t *Tailnet) Grants(grants []Grant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.grants = slices.Clone(grants)
	t.pushLocked()
}

// Nodes returns the nodes in the order of registration.
func (t *Tailnet) Nodes() []NodeInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	infos := []NodeInfo{}
	for _, n := range t.sortedLocked() {
		info := NodeInfo{
			ID: string(n.stableID()), Hostname: n.hostname(), User: n.login(),
			Tags: append([]string{}, n.tags...), Online: n.stream != nil,
		}
		for _, address := range n.addresses() {
			info.IPs = append(info.IPs, address.Addr().String())
		}
		infos = append(infos, info)
	}
	return infos
}

// Update changes a node, named by hostname or stable id.
func (t *Tailnet) Update(name string, change Change) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.findLocked(name)
	if n == nil {
		return unknownNode(name)
	}
	if change.Tags != nil {
		if err := checkTags(*change.Tags); err != nil {
			return err
		}
	}
	if change.User != nil {
		if err := t.roomForUserLocked(*change.User); err != nil {
			return err
		}
	}
	if change.IP != nil {
		if !change.IP.Is4() || !tsaddr.CGNATRange().Contains(*change.IP) {
			return fmt.Errorf("update: ip must be an IPv4 address in 100.64.0.0/10, not %s", change.IP)
		}
		if taken := t.ipTakenLocked(*change.IP); taken != nil && taken != n {
			return fmt.Errorf("the address %s is in use by %s: remove that node first", change.IP, taken.hostname())
		}
	}
	if change.Name != nil && *change.Name != n.label {
		label := t.freeLabelLocked(*change.Name)
		change.Name = &label
	}
	assign(&n.user, change.User)
	assign(&n.tags, change.Tags)
	assign(&n.keyExpiry, change.KeyExpiry)
	assign(&n.expired, change.Expired)
	assign(&n.foreign, change.Foreign)
	assign(&n.unsigned, change.Unsigned)
	assign(&n.jailed, change.Jailed)
	assign(&n.wireguardOnly, change.WireGuardOnly)
	assign(&n.routes, change.SubnetRoutes)
	assign(&n.ip, change.IP)
	assign(&n.label, change.Name)
	assign(&n.refused, change.Refused)
	if n.refused != "" && n.stream != nil {
		n.stream.end()
	}
	t.pushLocked()
	return nil
}

// Remove deletes a node from every netmap and ends its poll. Its IP is free.
func (t *Tailnet) Remove(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.findLocked(name)
	if n == nil {
		return unknownNode(name)
	}
	t.removeLocked(n)
	t.pushLocked()
	return nil
}

func (t *Tailnet) removeLocked(n *node) {
	delete(t.nodes, n.id)
	if n.stream != nil {
		n.stream.end()
	}
}

func assign[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func checkTags(tags []string) error {
	for _, tag := range tags {
		if err := tailcfg.CheckTag(tag); err != nil {
			return fmt.Errorf("tag %q: %w", tag, err)
		}
	}
	return nil
}

func (t *Tailnet) roomForUserLocked(login string) error {
	if _, ok := t.users[login]; !ok && len(t.users) >= maxUsers {
		return fmt.Errorf("more than %d users", maxUsers)
	}
	return nil
}

func unknownNode(name string) error {
	return fmt.Errorf("no node has the hostname or stable id %q: see the list of nodes", name)
}
