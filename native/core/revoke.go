// Revocation: after each change of the network map or of a grant, and when a key expires, every open connection is
// checked again; those whose caller, class or rights changed are closed.

package core

import (
	"context"
	"net/netip"
	"slices"
)

// revoke runs after the view was refreshed. It checks each remote address once.
func (n *Node) revoke(ctx context.Context) {
	n.conns.generation.Add(1)
	fresh := map[netip.Addr]*callerCheck{}
	var callers []string
	closed := 0
	for _, tracked := range n.conns.list() {
		old := tracked.check.Load()
		if old == nil {
			continue // no request yet: the first one is checked under the new rights
		}
		now, checked := fresh[tracked.remote]
		if !checked {
			check, err := n.checkCaller(ctx, tracked.remote)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				// The caller is unknown now, so it keeps no connection.
				n.log("warning", "cannot identify "+tracked.remote.String()+": "+err.Error())
				check = &callerCheck{refusal: &Refusal{Code: "caller_unknown"}}
			}
			fresh[tracked.remote], now = check, check
		}
		if old.sameRights(now) {
			tracked.check.CompareAndSwap(old, now)
			continue
		}
		tracked.Close()
		closed++
		if old.refusal == nil && !slices.Contains(callers, old.caller.ID) {
			callers = append(callers, old.caller.ID)
		}
	}
	n.egress.recheck(ctx)
	if network := n.raft.Load(); network != nil {
		network.recheck(ctx)
	}
	if closed > 0 && len(callers) > 0 {
		n.emit(RevokedEvent{Event: "revoked", Callers: callers, Connections: closed})
	}
}
