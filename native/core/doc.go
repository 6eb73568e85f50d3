// Package core is the tailnet half of Cairn: one tsnet node, who is calling it,
// the way in (ingress) and the way out (egress). It knows nothing of contexts,
// roles or raft state machines: it proves the caller and moves bytes.
package core

import _ "tailscale.com/tsnet"
