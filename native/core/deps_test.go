// Keeps the packages the tests need in go.mod until the tests themselves do.
package core

import (
	_ "tailscale.com/derp/derpserver"
	_ "tailscale.com/net/stun"
	_ "tailscale.com/tstest/integration/testcontrol"
)
