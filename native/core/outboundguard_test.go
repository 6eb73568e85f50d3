// Tests of the rules of the way to the host's network by their form, and of names without a usable address.

package core

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestOutboundRulesByTheirForm(t *testing.T) {
	for _, text := range []string{"[10.0.0.1", "10.0.0.1]", "[fd00::1", "[fd00::/8", "[name]", "fd00::1%eth0", "[fd00::1%eth0]"} {
		if rule, err := parseOutboundRule(text); err == nil {
			t.Errorf("%s is %+v", text, rule)
		}
	}
	most := slices.Repeat([]string{"10.0.0.1"}, maxOutboundRules)
	if rules, err := parseOutboundRules(most); err != nil || len(rules) != maxOutboundRules {
		t.Errorf("as many as are allowed: %d, %v", len(rules), err)
	}
	if _, err := parseOutboundRules(append(most, "10.0.0.2")); err == nil {
		t.Error("one more is taken")
	}
}

func TestAddressesOfAHost(t *testing.T) {
	guard := newOutboundGuard(nil)
	found := []netip.Addr{}
	guard.lookUp = func(_ context.Context, name string) ([]netip.Addr, error) {
		if name != "name.example" {
			t.Errorf("%s was looked up", name)
		}
		return found, nil
	}
	for _, host := range []string{"::ffff:10.0.0.1", "fe80::1%eth0"} {
		addrs, err := guard.addressesOf(t.Context(), host)
		if refused := (*outboundRefused)(nil); !errors.As(err, &refused) {
			t.Errorf("%s is %v: %v", host, addrs, err)
		}
	}
	if addrs, err := guard.addressesOf(t.Context(), "fd00::1"); err != nil || len(addrs) != 1 {
		t.Errorf("an address is %v: %v", addrs, err)
	}
	if addrs, err := guard.addressesOf(t.Context(), "name.example"); err == nil || !strings.Contains(err.Error(), "no address") {
		t.Errorf("a name without an address is %v: %v", addrs, err)
	}
	// One address in both forms is one.
	found = []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("10.0.0.1")}
	addrs, err := guard.addressesOf(t.Context(), "name.example")
	if err != nil || !slices.Equal(addrs, []netip.Addr{netip.MustParseAddr("10.0.0.1")}) {
		t.Errorf("a name is %v: %v", addrs, err)
	}
}

func TestAddressesOfThisMachine(t *testing.T) {
	found := interfaceAddrs()
	if !slices.Contains(found, netip.MustParseAddr("127.0.0.1")) || slices.ContainsFunc(found, netip.Addr.Is4In6) {
		t.Errorf("this machine has %v", found)
	}
}
