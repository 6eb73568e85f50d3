// Revocation: after each change of the network map or of a grant, and when a key expires, every
// open connection is judged again; those whose caller, class or rights changed are closed.

package core

import (
	"context"
	"net/netip"
	"slices"
)

// revoke runs after the view was taken anew. Each remote address is asked about once.
func (node *Node) revoke(ctx context.Context) {
	node.conns.generation.Add(1)
	fresh := map[netip.Addr]*verdict{}
	var callers []string
	closed := 0
	for _, tracked := range node.conns.list() {
		old := tracked.verdict.Load()
		if old == nil {
			continue // no request yet: it will be judged by the new rights
		}
		now, asked := fresh[tracked.remote]
		if !asked {
			judged, err := node.judge(ctx, tracked.remote)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				// Nothing is known about the caller any more, so it keeps nothing.
				node.log("warning", "cannot ask who "+tracked.remote.String()+" is: "+err.Error())
				judged = &verdict{refusal: &Refusal{Code: "caller_unknown"}}
			}
			fresh[tracked.remote], now = judged, judged
		}
		if old.same(now) {
			tracked.verdict.CompareAndSwap(old, now)
			continue
		}
		tracked.Close()
		closed++
		if old.refusal == nil && !slices.Contains(callers, old.caller.ID) {
			callers = append(callers, old.caller.ID)
		}
	}
	node.egress.judgeAgain(ctx)
	if network := node.raft.Load(); network != nil {
		network.judgeAgain(ctx)
	}
	if closed > 0 && len(callers) > 0 {
		node.emit(RevokedEvent{Event: "revoked", Callers: callers, Connections: closed})
	}
}
