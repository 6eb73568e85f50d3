// Identifies callers: WhoIs of an address becomes a Caller, or a refusal with its reason. The class follows from the
// node and its tags, never from a user's name. Roles are not known here.

package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"tailscale.com/client/local"
	"tailscale.com/client/tailscale/apitype"
	"tailscale.com/ipn/ipnstate"
	"tailscale.com/tailcfg"
)

const maxCallerBytes = 4096

// Refusal is why a node is refused, sent as a 403.
type Refusal struct {
	Code   string
	Detail string
	Hint   string
}

// identity is what classify compares callers with: this node's own id, user, tags and domain.
type identity struct {
	id     tailcfg.StableNodeID
	user   tailcfg.UserID
	tagged bool
	suffix string // MagicDNS suffix without leading or trailing dots
}

func identityOf(status *ipnstate.Status) identity {
	if status == nil || status.Self == nil {
		return identity{}
	}
	self := identity{id: status.Self.ID, user: status.Self.UserID, tagged: status.Self.IsTagged()}
	if status.CurrentTailnet != nil {
		self.suffix = strings.Trim(strings.ToLower(status.CurrentTailnet.MagicDNSSuffix), ".")
	}
	return self
}

// callerCheck is the result for one address: a caller, or a refusal. keyExpiry is zero if the node key does not expire.
type callerCheck struct {
	caller    Caller
	header    string
	refusal   *Refusal
	keyExpiry time.Time
}

// sameRights reports whether an open connection may continue under the next check. A changed node name changes no
// right.
func (c *callerCheck) sameRights(next *callerCheck) bool {
	if (c.refusal == nil) != (next.refusal == nil) {
		return false
	}
	if c.refusal != nil {
		return true
	}
	a, b := c.caller, next.caller
	return a.ID == b.ID && a.Kind == b.Kind && a.Login == b.Login && a.UserID == b.UserID && a.Own == b.Own &&
		a.Grants == b.Grants && slices.Equal(a.Tags, b.Tags)
}

// checkCaller asks WhoIs about a tailnet address and classifies the result.
func (n *Node) checkCaller(ctx context.Context, remote netip.Addr) (*callerCheck, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	whois, err := n.lc.WhoIs(ctx, remote.String())
	if errors.Is(err, local.ErrPeerNotFound) {
		return &callerCheck{refusal: refuseUnknown(remote)}, nil
	}
	if err != nil {
		return nil, err
	}
	self := n.identity.Load()
	return classify(whois, remote, *self, n.params.Shared, time.Now(), func(whois *apitype.WhoIsResponse) string {
		return n.grants.add(whois.CapMap[tailcfg.PeerCapability(n.params.Capability)])
	}), nil
}

func refuseUnknown(remote netip.Addr) *Refusal {
	return &Refusal{"caller_unknown", fmt.Sprintf("%s is not a node of this tailnet.", remote),
		"Traffic through a subnet router or an exit node has no caller; connect from a node of the tailnet itself."}
}

// classify decides the class of a node. storeGrants stores its capability objects and returns their digest.
func classify(whois *apitype.WhoIsResponse, remote netip.Addr, self identity, shared string, now time.Time,
	storeGrants func(*apitype.WhoIsResponse) string) *callerCheck {
	if whois == nil || whois.Node == nil || whois.UserProfile == nil || !ownsAddress(whois.Node, remote) {
		return &callerCheck{refusal: refuseUnknown(remote)}
	}
	node := whois.Node
	if refusal := refuseNode(node, self, shared, now); refusal != nil {
		return &callerCheck{refusal: refusal, keyExpiry: node.KeyExpiry}
	}
	caller := newCaller(whois, self)
	caller.Grants = storeGrants(whois)
	header, err := asciiJSON(caller)
	if err != nil || len(header) > maxCallerBytes {
		detail := fmt.Sprintf("The identity of %s does not fit into 4 KB.", caller.Node)
		return &callerCheck{keyExpiry: node.KeyExpiry,
			refusal: &Refusal{"caller_too_large", detail, "Give that node fewer or shorter tags."}}
	}
	return &callerCheck{caller: caller, header: header, keyExpiry: node.KeyExpiry}
}

// refuseNode returns why a node of the network map may not call, or nil.
func refuseNode(node *tailcfg.Node, self identity, shared string, now time.Time) *Refusal {
	refuse := func(code, detail, hint string) *Refusal {
		return &Refusal{code, fmt.Sprintf(detail, strings.TrimSuffix(node.Name, ".")), hint}
	}
	switch {
	case self.id == "":
		return refuse("not_ready", "This node does not know its own tailnet identity yet; %s must wait.",
			"Try again in a second.")
	case node.StableID == self.id:
		return refuse("caller_self", "%s is this node itself.", "Use the local socket on this machine.")
	case node.Expired || (!node.KeyExpiry.IsZero() && !node.KeyExpiry.After(now)):
		return refuse("caller_expired", "The node key of %s has expired.", "Log in again on that machine.")
	case node.UnsignedPeerAPIOnly:
		return refuse("caller_unsigned", "%s is not signed by this tailnet's lock.",
			"Sign the node with tailscale lock sign.")
	case node.IsJailed:
		return refuse("caller_jailed", "%s is jailed by the tailnet: it may not open connections.", "")
	case node.IsWireGuardOnly:
		return refuse("caller_wireguard_only", "%s is a plain WireGuard peer, which proves no user.", "")
	case shared != "grants" && isForeign(node, self):
		return refuse("caller_foreign", "%s belongs to another tailnet.",
			"Set access.shared to grants to judge shared-in nodes by their grants.")
	}
	return nil
}

// newCaller returns the caller's identity, without its grants.
func newCaller(whois *apitype.WhoIsResponse, self identity) Caller {
	node := whois.Node
	caller := Caller{V: 1, ID: string(node.StableID), Node: strings.TrimSuffix(node.Name, "."), Tags: []string{}}
	switch {
	case isForeign(node, self):
		// Tags of another tailnet mean nothing here, so they are not passed on.
		caller.Kind, caller.Login, caller.UserID = "shared", whois.UserProfile.LoginName, userID(node.User)
	case node.IsTagged():
		caller.Kind, caller.Tags = "tagged", slices.Sorted(slices.Values(node.Tags))
	default:
		caller.Kind, caller.Login, caller.UserID = "user", whois.UserProfile.LoginName, userID(node.User)
		caller.Own = !self.tagged && node.User == self.user && self.user != 0
	}
	return caller
}

func ownsAddress(node *tailcfg.Node, remote netip.Addr) bool {
	return slices.ContainsFunc(node.Addresses, func(prefix netip.Prefix) bool {
		return prefix.IsSingleIP() && prefix.Addr() == remote.Unmap()
	})
}

// isForeign reports whether a node belongs to another tailnet: it is shared in (a sharer is set), it is visible because
// a node of ours was shared out to its user, or its name is in another domain.
func isForeign(node *tailcfg.Node, self identity) bool {
	if node.Sharer != 0 {
		return true
	}
	if node.Hostinfo.Valid() && node.Hostinfo.ShareeNode() {
		return true
	}
	return outsideSuffix(node.Name, self.suffix)
}

func outsideSuffix(name, suffix string) bool {
	name = strings.Trim(strings.ToLower(name), ".")
	return suffix != "" && strings.Contains(name, ".") && !strings.HasSuffix(name, "."+suffix)
}

func userID(id tailcfg.UserID) string { return strconv.FormatInt(int64(id), 10) }

// asciiJSON encodes a value for a header: every character outside ASCII becomes \uXXXX.
func asciiJSON(value any) (string, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, char := range string(text) {
		switch {
		case char < 0x7f:
			out.WriteRune(char)
		case char > 0xffff:
			high, low := utf16.EncodeRune(char)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, char)
		}
	}
	return out.String(), nil
}
