// Who is calling: WhoIs becomes a Caller, or a refusal with its reason. Decided by the node
// and its tags, never by a user's name. Nothing here knows roles.

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

// Refusal is why a node gets nothing from this one, told as a 403.
type Refusal struct {
	Code   string
	Detail string
	Hint   string
}

// identity is this node as classes are judged against it.
type identity struct {
	id     tailcfg.StableNodeID
	user   tailcfg.UserID
	tagged bool
	suffix string // MagicDNS suffix without dots at its ends
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

// verdict is a judged address: a caller, or a refusal; until is the key's expiry, zero when it has none.
type verdict struct {
	caller  Caller
	header  string
	refusal *Refusal
	until   time.Time
}

// same reports whether an open connection may go on under the new verdict. A changed node name alone changes no right.
func (old *verdict) same(fresh *verdict) bool {
	if (old.refusal == nil) != (fresh.refusal == nil) {
		return false
	}
	if old.refusal != nil {
		return true
	}
	a, b := old.caller, fresh.caller
	return a.ID == b.ID && a.Kind == b.Kind && a.Login == b.Login && a.UserID == b.UserID && a.Own == b.Own &&
		a.Grants == b.Grants && slices.Equal(a.Tags, b.Tags)
}

// judge asks WhoIs about a tailnet address and classifies the answer.
func (node *Node) judge(ctx context.Context, remote netip.Addr) (*verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	who, err := node.lc.WhoIs(ctx, remote.String())
	if errors.Is(err, local.ErrPeerNotFound) {
		return &verdict{refusal: refuseUnknown(remote)}, nil
	}
	if err != nil {
		return nil, err
	}
	self := node.identity.Load()
	return classify(who, remote, *self, node.params.Shared, time.Now(), func(who *apitype.WhoIsResponse) string {
		return node.grants.keep(who.CapMap[tailcfg.PeerCapability(node.params.Capability)])
	}), nil
}

func refuseUnknown(remote netip.Addr) *Refusal {
	return &Refusal{"caller_unknown", fmt.Sprintf("%s is no node of this tailnet.", remote),
		"Traffic through a subnet router or an exit node has no caller; connect from a node of the tailnet itself."}
}

// classify decides the class of a node. keepGrants stores its capability objects and answers their digest.
func classify(who *apitype.WhoIsResponse, remote netip.Addr, self identity, shared string, now time.Time,
	keepGrants func(*apitype.WhoIsResponse) string) *verdict {
	if who == nil || who.Node == nil || who.UserProfile == nil || !ownsAddress(who.Node, remote) {
		return &verdict{refusal: refuseUnknown(remote)}
	}
	node := who.Node
	name := strings.TrimSuffix(node.Name, ".")
	foreign := isForeign(node, self)
	refuse := func(code, detail, hint string) *verdict {
		return &verdict{refusal: &Refusal{code, fmt.Sprintf(detail, name), hint}, until: node.KeyExpiry}
	}
	switch {
	case self.id == "":
		return refuse("not_ready", "This node does not know its own place in the tailnet yet; %s must wait.", "Try again in a second.")
	case node.StableID == self.id:
		return refuse("caller_self", "%s is this node itself.", "Use the local socket on this machine.")
	case node.Expired || (!node.KeyExpiry.IsZero() && !node.KeyExpiry.After(now)):
		return refuse("caller_expired", "The node key of %s has expired.", "Log in again on that machine.")
	case node.UnsignedPeerAPIOnly:
		return refuse("caller_unsigned", "%s is not signed by this tailnet's lock.", "Sign the node with tailscale lock sign.")
	case node.IsJailed:
		return refuse("caller_jailed", "%s is jailed by the tailnet: it may not open connections.", "")
	case node.IsWireGuardOnly:
		return refuse("caller_wireguard_only", "%s is a plain WireGuard peer, which proves no user.", "")
	case foreign && shared != "grants":
		return refuse("caller_foreign", "%s belongs to another tailnet.", "Set access.shared to grants to judge shared-in nodes by their grants.")
	}
	caller := Caller{V: 1, ID: string(node.StableID), Node: name, Tags: []string{}, Grants: keepGrants(who)}
	switch {
	case foreign:
		// Tags of another tailnet mean nothing here, so they are not passed on.
		caller.Kind, caller.Login, caller.UserID = "shared", who.UserProfile.LoginName, userID(node.User)
	case node.IsTagged():
		caller.Kind, caller.Tags = "tagged", slices.Sorted(slices.Values(node.Tags))
	default:
		caller.Kind, caller.Login, caller.UserID = "user", who.UserProfile.LoginName, userID(node.User)
		caller.Own = !self.tagged && node.User == self.user && self.user != 0
	}
	header, err := asciiJSON(caller)
	if err != nil || len(header) > maxCallerBytes {
		return refuse("caller_too_large", "The identity of %s does not fit into 4 KB.", "Give that node fewer or shorter tags.")
	}
	return &verdict{caller: caller, header: header, until: node.KeyExpiry}
}

func ownsAddress(node *tailcfg.Node, remote netip.Addr) bool {
	return slices.ContainsFunc(node.Addresses, func(prefix netip.Prefix) bool {
		return prefix.IsSingleIP() && prefix.Addr() == remote.Unmap()
	})
}

// isForeign reports whether a node belongs to another tailnet: shared in (a sharer is set),
// in sight because a node of ours was shared out to its user, or named under another domain.
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

// asciiJSON encodes for a header: every character outside ASCII becomes \uXXXX.
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
