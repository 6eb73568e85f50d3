// Nodes and users as the control server knows them, and their lookup. netmap.go builds what others see of a node.

package tailnettest

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"tailscale.com/net/tsaddr"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// taggedUser owns all tagged nodes, as at Tailscale. It cannot log in.
const (
	taggedUser  = tailcfg.UserID(1)
	taggedLogin = "tagged-devices"
	firstUser   = tailcfg.UserID(1000)
)

type node struct {
	id        tailcfg.NodeID
	machine   key.MachinePublic
	key       key.NodePublic
	disco     key.DiscoPublic
	endpoints []netip.AddrPort
	homeDERP  int
	capVer    tailcfg.CapabilityVersion
	hostinfo  *tailcfg.Hostinfo
	label     string // first part of the DNS name
	ip        netip.Addr
	source    netip.Addr // if valid: the address that the node believes it has
	user      string
	tags      []string
	keyExpiry time.Time // zero: never
	ephemeral bool
	refused   string // if set: control's error for the node itself
	created   time.Time
	lastSeen  time.Time

	// What the other nodes see of it.
	expired       bool
	foreign       Foreign
	unsigned      bool
	jailed        bool
	wireguardOnly bool
	routes        []netip.Prefix

	stream *mapStream // the open map poll, nil while offline
}

func (n *node) stableID() tailcfg.StableNodeID {
	return tailcfg.StableNodeID(fmt.Sprintf("nTEST%06dCNTRL", n.id))
}

func (n *node) hostname() string { return n.hostinfo.Hostname }

func (n *node) keyExpired(now time.Time) bool {
	return !n.keyExpiry.IsZero() && n.keyExpiry.Before(now)
}

func (n *node) addresses() []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(n.ip, n.ip.BitLen()),
		netip.PrefixFrom(tsaddr.Tailscale4To6(n.ip), 128),
	}
}

func (n *node) dnsName() string {
	if n.foreign != ForeignNo {
		return n.label + "." + foreignSuffix + "."
	}
	return n.label + "." + Domain + "."
}

// login returns the user's login as WhoIs shows it.
func (n *node) login() string {
	switch {
	case len(n.tags) > 0:
		return taggedLogin
	case n.foreign != ForeignNo:
		name, _, _ := strings.Cut(n.user, "@")
		return name + "@" + foreignDomain
	}
	return n.user
}

// userIDLocked returns the id of a login and creates the user if it is new.
func (t *Tailnet) userIDLocked(login string) tailcfg.UserID {
	id, ok := t.users[login]
	if !ok {
		id = firstUser + tailcfg.UserID(len(t.users))
		t.users[login] = id
	}
	return id
}

func (t *Tailnet) userOfLocked(n *node) tailcfg.UserID {
	if len(n.tags) > 0 {
		return taggedUser
	}
	return t.userIDLocked(n.login())
}

func (t *Tailnet) profilesLocked() []tailcfg.UserProfile {
	profiles := []tailcfg.UserProfile{{ID: taggedUser, LoginName: taggedLogin, DisplayName: "Tagged Devices"}}
	for login, id := range t.users {
		name, _, _ := strings.Cut(login, "@")
		profiles = append(profiles, tailcfg.UserProfile{ID: id, LoginName: login, DisplayName: name})
	}
	slices.SortFunc(profiles, func(a, b tailcfg.UserProfile) int { return cmp.Compare(a.ID, b.ID) })
	return profiles
}

func (t *Tailnet) byKeyLocked(nodeKey key.NodePublic) *node {
	for _, n := range t.nodes {
		if n.key == nodeKey {
			return n
		}
	}
	return nil
}

func (t *Tailnet) byMachineLocked(machine key.MachinePublic) *node {
	for _, n := range t.nodes {
		if n.machine == machine {
			return n
		}
	}
	return nil
}

// findLocked finds a node by stable id or hostname; of several with one hostname (a removed machine that came back) the
// newest.
func (t *Tailnet) findLocked(name string) *node {
	var found *node
	for _, n := range t.nodes {
		if string(n.stableID()) == name {
			return n
		}
		if n.hostname() == name && (found == nil || n.id > found.id) {
			found = n
		}
	}
	return found
}

// sortedLocked returns the nodes by id: map responses need a stable order.
func (t *Tailnet) sortedLocked() []*node {
	nodes := make([]*node, 0, len(t.nodes))
	for _, n := range t.nodes {
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b *node) int { return cmp.Compare(a.id, b.id) })
	return nodes
}

func (t *Tailnet) ipTakenLocked(ip netip.Addr) *node {
	for _, n := range t.nodes {
		if n.ip == ip {
			return n
		}
	}
	return nil
}

// freeIPLocked returns the next address in the order of registration that is neither in use nor reserved.
func (t *Tailnet) freeIPLocked(id tailcfg.NodeID) netip.Addr {
	promised := map[netip.Addr]bool{}
	for _, expect := range t.expected {
		promised[expect.IP] = true
	}
	for number := uint32(id); ; number++ {
		ip := netip.AddrFrom4([4]byte{100, 64, byte(number >> 8), byte(number)})
		if !promised[ip] && t.ipTakenLocked(ip) == nil {
			return ip
		}
	}
}

// freeLabelLocked makes the DNS label of a hostname unique the way control does.
func (t *Tailnet) freeLabelLocked(hostname string) string {
	taken := map[string]bool{}
	for _, n := range t.nodes {
		taken[n.label] = true
	}
	label := strings.ToLower(hostname)
	for number := 1; taken[label]; number++ {
		label = fmt.Sprintf("%s-%d", strings.ToLower(hostname), number)
	}
	return label
}
