// The proxy of outbound.proxy (security.md 19): https requests to what outbound.allow does not list go through its
// CONNECT, and TLS is between this machine and the destination. The proxy resolves names, so that only what a target
// says of itself can be checked here.

package core

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// localSuffixes are the names of this machine and of local networks; a tailnet's own names are among them.
var localSuffixes = []string{"localhost", "local", "localdomain", "internal", "home.arpa", "ts.net"}

// numericName is a name that resolvers may take for an IPv4 address, such as 127.1 or 0x7f000001.
var numericName = regexp.MustCompile(`(^|\.)([0-9]+|0[xX][0-9a-fA-F]*)$`)

// plainName is a name of ASCII labels: others are read in more than one way, by proxies and by the transport.
var plainName = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

// outboundProxy is the proxy with its credentials.
type outboundProxy struct {
	address string
	header  http.Header
}

// parseOutboundProxy parses http://host:port and USER:PASSWORD; nil without an address.
func parseOutboundProxy(text, credentials string) (*outboundProxy, error) {
	if text == "" {
		return nil, nil
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "http" || parsed.Hostname() == "" || parsed.Port() == "" || parsed.User != nil ||
		strings.TrimSuffix(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return nil, errors.New("the proxy is not http://host:port")
	}
	proxy := &outboundProxy{address: parsed.Host, header: http.Header{}}
	if credentials != "" {
		proxy.header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credentials)))
	}
	return proxy, nil
}

// proxyRefused is the error for a CONNECT that the proxy answered with another status than 200.
type proxyRefused struct {
	proxy, target string
	status        int
}

// Error returns the proxy, the target and the status.
func (p *proxyRefused) Error() string {
	return fmt.Sprintf("the proxy %s did not connect to %.200s: %d %s", p.proxy, p.target, p.status,
		http.StatusText(p.status))
}

// hint returns what may help.
func (p *proxyRefused) hint() string {
	if p.status == http.StatusProxyAuthRequired {
		return "Set CAIRN_OUTBOUND_PROXY_CREDENTIALS to USER:PASSWORD, or to others."
	}
	return "Let the proxy allow this destination, or list it by its name in outbound.allow to reach it directly."
}

// throughProxy makes a transport connect by CONNECT. The proxy is an address of the settings and may be a private one.
func (p *outboundProxy) throughProxy(transport *http.Transport) *http.Transport {
	dialer := net.Dialer{Timeout: dialTimeout}
	transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: p.address})
	transport.ProxyConnectHeader = p.header
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", p.address)
	}
	transport.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, request *http.Request,
		response *http.Response) error {
		if response.StatusCode == http.StatusOK {
			return nil
		}
		return &proxyRefused{p.address, request.Host, response.StatusCode}
	}
	return transport
}

// transportFor returns the way to a URL: directly without a proxy, for plain http and for what outbound.allow lists by
// its name or literal address.
func (w *ways) transportFor(to *url.URL) (*http.Transport, error) {
	host := to.Hostname()
	port, err := strconv.ParseUint(cmp.Or(to.Port(), "443"), 10, 16)
	if w.proxied == nil || to.Scheme != "https" || err != nil {
		return w.direct[to.Scheme], nil
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		addr = netip.Addr{}
	}
	if w.guard.lists(host, netip.AddrPortFrom(addr, uint16(port))) {
		return w.direct[to.Scheme], nil
	}
	return w.proxied, w.guard.admitUnresolved(host, addr, uint16(port))
}

// admitUnresolved checks a target that is not listed and that the proxy resolves: an address as admit does, and no name
// that says itself that it is local.
func (g *outboundGuard) admitUnresolved(host string, addr netip.Addr, port uint16) error {
	if addr.IsValid() {
		if addr.Is4In6() {
			return &outboundRefused{host, "write the address itself, not mapped and without a zone"}
		}
		return g.admit(host, netip.AddrPortFrom(addr, port), false)
	}
	name := normalizeName(host)
	isLocal := !strings.Contains(name, ".") || numericName.MatchString(name) ||
		slices.ContainsFunc(localSuffixes, func(suffix string) bool {
			return name == suffix || strings.HasSuffix(name, "."+suffix)
		})
	if !plainName.MatchString(name) {
		return &outboundRefused{host, "write the name with ASCII letters, digits, - and single dots"}
	}
	if isLocal {
		return &outboundRefused{host, "it is a local name, and outbound.allow does not list it"}
	}
	return nil
}
