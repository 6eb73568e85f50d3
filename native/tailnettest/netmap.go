// Map polls: what each node learns about itself, about the others, and about who may reach it with which capabilities.
// Every change sends the whole map again.

package tailnettest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/util/zstdframe"
)

const keepAliveEvery = 45 * time.Second // nodes give up after 120 s of silence

// mapStream is the open poll of one node; wake signals a change.
type mapStream struct {
	wake  chan struct{}
	end   context.CancelFunc
	peers []tailcfg.NodeID // those of the last map
}

// pushLocked notifies all nodes of a change; several in a row are coalesced.
func (t *Tailnet) pushLocked() {
	for _, n := range t.nodes {
		if n.stream != nil {
			select {
			case n.stream.wake <- struct{}{}:
			default:
			}
		}
	}
}

func (t *Tailnet) serveMap(w http.ResponseWriter, r *http.Request, machine key.MachinePublic,
	request *tailcfg.MapRequest) {
	t.mu.Lock()
	n := t.byKeyLocked(request.NodeKey)
	if n == nil || n.machine != machine {
		t.mu.Unlock()
		http.Error(w, "node not found", http.StatusNotFound)
		return
	}
	if n.refused != "" {
		refusal := n.refused
		t.mu.Unlock()
		http.Error(w, refusal, http.StatusForbidden)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if !request.Stream {
		// Endpoints, keys and host information come in requests of their own.
		if !request.ReadOnly {
			t.noteLocked(n, request)
		}
		t.mu.Unlock()
		if !request.OmitPeers {
			t.sendMap(w, request.Compress, n.id, &mapStream{})
		}
		return
	}
	stream := &mapStream{wake: make(chan struct{}, 1), end: cancel}
	if n.stream != nil {
		n.stream.end() // the same node polls again, so the old poll is dead
	}
	n.stream = stream
	t.pushLocked()
	t.mu.Unlock()

	t.stream(ctx, w, request, n.id, stream)

	t.mu.Lock()
	defer t.mu.Unlock()
	if n.stream == stream {
		n.stream, n.lastSeen = nil, time.Now()
		t.pushLocked()
	}
}

func (t *Tailnet) stream(ctx context.Context, w http.ResponseWriter, request *tailcfg.MapRequest, id tailcfg.NodeID,
	stream *mapStream) {
	keepAlive := time.NewTicker(keepAliveEvery)
	defer keepAlive.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-stream.wake:
			if !t.sendMap(w, request.Compress, id, stream) {
				return
			}
		case <-keepAlive.C:
			if !writeMap(w, request.Compress, &tailcfg.MapResponse{KeepAlive: true}) {
				return
			}
		}
	}
}

func (t *Tailnet) noteLocked(n *node, request *tailcfg.MapRequest) {
	n.disco, n.capVer = request.DiscoKey, request.Version
	n.endpoints = slices.DeleteFunc(slices.Clone(request.Endpoints), func(endpoint netip.AddrPort) bool {
		return endpoint.Addr().Zone() != "" || endpoint.Addr().IsLinkLocalUnicast()
	})
	if request.Hostinfo != nil {
		n.hostinfo = request.Hostinfo
		if net := request.Hostinfo.NetInfo; net != nil && net.PreferredDERP != 0 {
			n.homeDERP = net.PreferredDERP
		}
	}
	t.pushLocked()
}

func (t *Tailnet) sendMap(w http.ResponseWriter, compress string, id tailcfg.NodeID, stream *mapStream) bool {
	t.mu.Lock()
	n := t.nodes[id]
	if n == nil {
		t.mu.Unlock()
		return false // removed
	}
	response := t.mapLocked(n)
	t.mu.Unlock()
	if len(response.Peers) == 0 {
		response.PeersRemoved = stream.peers // an empty list of peers would mean no change
	}
	stream.peers = nil
	for _, peer := range response.Peers {
		stream.peers = append(stream.peers, peer.ID)
	}
	return writeMap(w, compress, response)
}

// writeMap writes one frame: length (4 bytes, little endian), then JSON.
func writeMap(w http.ResponseWriter, compress string, response *tailcfg.MapResponse) bool {
	body, err := json.Marshal(response)
	if err != nil {
		return false
	}
	if compress == "zstd" {
		body = zstdframe.AppendEncode(nil, body, zstdframe.FastestCompression)
	}
	frame := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	if _, err := w.Write(append(frame, body...)); err != nil {
		return false
	}
	return http.NewResponseController(w).Flush() == nil
}

func (t *Tailnet) mapLocked(self *node) *tailcfg.MapResponse {
	now := time.Now().UTC()
	response := &tailcfg.MapResponse{
		Node:            t.selfLocked(self),
		DERPMap:         t.derpMap(),
		Domain:          "example.com",
		CollectServices: "true",
		PacketFilter:    t.filterLocked(self),
		DNSConfig:       &tailcfg.DNSConfig{Proxied: true, Domains: []string{Domain}},
		ControlTime:     &now,
	}
	if t.https {
		response.DNSConfig.CertDomains = []string{self.label + "." + Domain}
	}
	for _, n := range t.sortedLocked() {
		if n != self {
			response.Peers = append(response.Peers, t.peerLocked(n))
		}
	}
	response.UserProfiles = t.profilesLocked() // last: the views above may have created users
	return response
}

func (t *Tailnet) viewLocked(n *node) *tailcfg.Node {
	hostinfo := *n.hostinfo
	hostinfo.ShareeNode = n.foreign == ForeignSharee
	view := &tailcfg.Node{
		ID: n.id, StableID: n.stableID(), Name: n.dnsName(), User: t.userOfLocked(n), Tags: n.tags,
		Machine: n.machine, Key: n.key, DiscoKey: n.disco, HomeDERP: n.homeDERP, Cap: n.capVer,
		KeyExpiry: n.keyExpiry, Created: n.created, MachineAuthorized: true,
		Addresses: n.addresses(), AllowedIPs: append(n.addresses(), n.routes...), PrimaryRoutes: n.routes,
		Hostinfo: hostinfo.View(), Online: new(n.stream != nil),
	}
	if n.stream == nil {
		view.LastSeen = new(n.lastSeen.UTC())
	}
	return view
}

// selfLocked returns the node as it sees itself. A node with a source address gets that address and sends from it.
func (t *Tailnet) selfLocked(n *node) *tailcfg.Node {
	view := t.viewLocked(n)
	view.Name = n.label + "." + Domain + "."
	view.CapMap = tailcfg.NodeCapMap{
		tailcfg.NodeAttrDisableUPnP:                   nil,
		tailcfg.NodeAttrDisableCaptivePortalDetection: nil,
	}
	if !t.direct {
		view.CapMap[tailcfg.NodeAttrOnlyTCP443] = nil // means: no UDP at all
	}
	if t.https {
		view.CapMap[tailcfg.CapabilityHTTPS] = nil
	}
	if t.funnel {
		view.CapMap[tailcfg.NodeAttrFunnel] = nil
		view.CapMap[tailcfg.CapabilityFunnelPorts+"?ports=443,8443,10000"] = nil
	}
	if n.source.IsValid() {
		view.Addresses = []netip.Prefix{hostPrefix(n.source)}
		view.AllowedIPs = view.Addresses
	}
	return view
}

func (t *Tailnet) peerLocked(n *node) *tailcfg.Node {
	view := t.viewLocked(n)
	if t.direct {
		view.Endpoints = n.endpoints
	}
	if n.foreign == ForeignSharedIn {
		view.Sharer = t.userIDLocked("sharer@" + foreignDomain)
	}
	if n.expired {
		view.Expired = true
		if view.KeyExpiry.IsZero() || view.KeyExpiry.After(time.Now()) {
			view.KeyExpiry = time.Now().Add(-time.Minute).UTC().Truncate(time.Second)
		}
	}
	view.UnsignedPeerAPIOnly = n.unsigned
	view.IsJailed = n.jailed
	// Only the flag: an engine that loses the disco key of a peer it knows panics (1.102.3), and with the flag alone
	// traffic continues, which is the harder case.
	view.IsWireGuardOnly = n.wireguardOnly
	return view
}

func hostPrefix(address netip.Addr) netip.Prefix { return netip.PrefixFrom(address, address.BitLen()) }
