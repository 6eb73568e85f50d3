// The Host and Origin rules: a request must name this node, and a browser must send it from this node's own origin.

package core

import (
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

var (
	nameShape   = regexp.MustCompile(`^[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$`)
	portShape   = regexp.MustCompile(`^[0-9]{1,5}$`)
	schemeShape = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
)

// splitHost splits "name", "name:port", "1.2.3.4:port", "[v6]" or "[v6]:port" into host and port text. It ignores case
// and one final dot, and refuses zones, user names and anything else.
func splitHost(text string) (host, port string, err error) {
	lower := strings.ToLower(text)
	if rest, bracketed := strings.CutPrefix(lower, "["); bracketed {
		inside, after, closed := strings.Cut(rest, "]")
		addr, parseErr := netip.ParseAddr(inside)
		if !closed || parseErr != nil || !addr.Is6() || addr.Zone() != "" {
			return "", "", fmt.Errorf("%.120q is not a host", text)
		}
		host, port = addr.String(), after
		if port != "" && !strings.HasPrefix(port, ":") {
			return "", "", fmt.Errorf("%.120q is not a host", text)
		}
		port = strings.TrimPrefix(port, ":")
		if after == ":" {
			return "", "", fmt.Errorf("%.120q has an empty port", text)
		}
	} else {
		var hasPort bool
		host, port, hasPort = strings.Cut(lower, ":")
		if hasPort && port == "" {
			return "", "", fmt.Errorf("%.120q has an empty port", text)
		}
		host = strings.TrimSuffix(host, ".")
		if !nameShape.MatchString(host) {
			return "", "", fmt.Errorf("%.120q is not a host", text)
		}
	}
	if port != "" && !portShape.MatchString(port) {
		return "", "", fmt.Errorf("%.120q has no valid port", text)
	}
	return host, port, nil
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	}
	return ""
}

// hostAllowed checks the Host of a request at a listener's port. extra are the configured hosts, with the listener's
// port unless they name one.
func hostAllowed(requestHost, scheme, listenerPort string, own map[string]bool, extra []string) bool {
	host, port, err := splitHost(requestHost)
	if err != nil {
		return false
	}
	if port == "" {
		port = defaultPort(scheme)
	}
	if own[host] && port == listenerPort {
		return true
	}
	return slices.ContainsFunc(extra, func(entry string) bool {
		allowed, allowedPort, err := splitHost(entry)
		if allowedPort == "" {
			allowedPort = listenerPort
		}
		return err == nil && allowed == host && allowedPort == port
	})
}

// parseOrigin returns an origin in canonical form: lower case, without the scheme's default port.
func parseOrigin(text string) (string, error) {
	scheme, rest, found := strings.Cut(strings.ToLower(text), "://")
	if !found || !schemeShape.MatchString(scheme) {
		return "", fmt.Errorf("%.120q is not an origin (want scheme://host)", text)
	}
	host, port, err := splitHost(rest)
	if err != nil {
		return "", fmt.Errorf("%.120q is not an origin: %w", text, err)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == "" || port == defaultPort(scheme) {
		return scheme + "://" + host, nil
	}
	return scheme + "://" + host + ":" + port, nil
}

// originRefusal checks Origin and Sec-Fetch-Site and returns why the request is refused, or "". An origin on the allow
// list is cross-site by nature, so Sec-Fetch-Site is not checked for it.
func originRefusal(request *http.Request, scheme string, allowed []string) string {
	if origins := request.Header.Values("Origin"); len(origins) > 0 {
		if len(origins) > 1 {
			return "the request has more than one Origin"
		}
		origin, err := parseOrigin(origins[0])
		if err != nil {
			return fmt.Sprintf("the origin %.120q is opaque or malformed", origins[0])
		}
		if slices.ContainsFunc(allowed, func(entry string) bool {
			known, err := parseOrigin(entry)
			return err == nil && known == origin
		}) {
			return ""
		}
		if own, err := parseOrigin(scheme + "://" + request.Host); err != nil || own != origin {
			return fmt.Sprintf("the origin %.120q is not this host", origins[0])
		}
	}
	navigates := request.Method == http.MethodGet && request.Header.Get("Upgrade") == "" &&
		request.Header.Get("Sec-Fetch-Mode") == "navigate" && request.Header.Get("Sec-Fetch-Dest") == "document"
	for _, site := range request.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" && !navigates {
			return fmt.Sprintf("a browser sent this from another site (Sec-Fetch-Site: %.40s)", site)
		}
	}
	return ""
}
