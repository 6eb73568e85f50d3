// Tests of which addresses are never dialed, whatever the network map says that they are.

package core

import (
	"net/netip"
	"testing"
)

func TestLocalAddressesAreNoServices(t *testing.T) {
	local := []string{"127.0.0.1", "::1", "0.0.0.0", "::", "169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1"}
	v := &view{selfIPs: map[netip.Addr]bool{}, services: map[netip.Addr]bool{}}
	for _, text := range append(local, "10.1.2.3") {
		v.services[netip.MustParseAddr(text)] = true
	}
	for _, text := range local {
		if reason := v.refuseAddr(netip.MustParseAddr(text)); reason != "it is local to this host" {
			t.Errorf("%s as a service: %q", text, reason)
		}
	}
	for text, refused := range map[string]bool{"10.1.2.3": false, "10.1.2.4": true, "100.64.0.1": false, "fd7a:115c:a1e0::1": false} {
		if reason := v.refuseAddr(netip.MustParseAddr(text)); (reason != "") != refused {
			t.Errorf("%s: %q", text, reason)
		}
	}
}
