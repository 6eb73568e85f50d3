// Tests of the Host and Origin rules, and of the rules for forgeable headers.

package core

import (
	"net/http"
	"strings"
	"testing"
)

func TestHostTable(t *testing.T) {
	own := map[string]bool{"cairn": true, "cairn.tail1234.ts.net": true, "100.64.0.1": true, "fd7a:115c:a1e0::1": true}
	extra := []string{"memory.example.com", "fixed.example.com:8443"}
	for _, row := range []struct {
		host, scheme, port string
		want               bool
	}{
		{"cairn", "http", "80", true},
		{"cairn:80", "http", "80", true},
		{"CAIRN.Tail1234.TS.net", "http", "80", true},
		{"cairn.tail1234.ts.net.", "http", "80", true}, // one final dot is the same name
		{"cairn.", "http", "80", true},
		{"cairn..", "http", "80", false},
		{"100.64.0.1", "http", "80", true},
		{"100.64.0.1:80", "http", "80", true},
		{"[fd7a:115c:a1e0::1]", "http", "80", true},
		{"[FD7A:115C:A1E0:0::1]:80", "http", "80", true},
		{"fd7a:115c:a1e0::1", "http", "80", false},
		{"[fd7a:115c:a1e0::1", "http", "80", false},
		{"[fd7a:115c:a1e0::1]80", "http", "80", false},
		{"[fd7a:115c:a1e0::1%25eth0]", "http", "80", false},
		{"cairn:443", "http", "80", false},
		{"cairn", "https", "443", true},
		{"cairn:80", "https", "443", false},
		{"cairn", "http", "4747", false},
		{"cairn:4747", "http", "4747", true},
		{"cairn:04747", "http", "4747", false},
		{"cairn:", "http", "80", false},
		{"cairn:80:80", "http", "80", false},
		{"memory.example.com", "http", "80", true},
		{"Memory.Example.com:4747", "http", "4747", true},
		{"fixed.example.com", "http", "80", false},
		{"fixed.example.com:8443", "http", "80", true},
		{"evil.example.com", "http", "80", false},
		{"cairn.evil.example.com", "http", "80", false},
		{"cairn@evil.example.com", "http", "80", false},
		{"localhost", "http", "80", false},
		{"127.0.0.1", "http", "80", false},
		{"", "http", "80", false},
	} {
		if got := hostAllowed(row.host, row.scheme, row.port, own, extra); got != row.want {
			t.Errorf("%q at %s %s: %v", row.host, row.scheme, row.port, got)
		}
	}
}

func TestOriginTable(t *testing.T) {
	allowed := []string{"https://memory.example.com", "https://Other.example.com:443", "vscode-webview://abc"}
	navigate := "Sec-Fetch-Site: cross-site|Sec-Fetch-Mode: navigate|Sec-Fetch-Dest: document"
	for _, row := range []struct {
		method, scheme, headers string
		want                    bool
	}{
		{"POST", "http", "", true},
		{"POST", "http", "Origin: http://cairn", true},
		{"POST", "http", "Origin: http://cairn:80", true},
		{"POST", "http", "Origin: HTTP://CAIRN", true},
		{"POST", "https", "Origin: https://cairn", true},
		{"GET", "https", "Origin: http://cairn", false},
		{"POST", "http", "Origin: https://cairn", false},
		{"POST", "http", "Origin: http://cairn:8080", false},
		{"POST", "http", "Origin: http://evil.example.com", false},
		{"GET", "http", "Origin: http://evil.example.com", false},
		{"GET", "http", "Origin: http://evil.example.com|Upgrade: websocket", false},
		{"POST", "http", "Origin: null", false},
		{"POST", "http", "Origin: ", false},
		{"POST", "http", "Origin: http://cairn/path", false},
		{"POST", "http", "Origin: http://user@cairn", false},
		{"POST", "http", "Origin: http://cairn|Origin: http://cairn", false},
		{"POST", "http", "Origin: https://memory.example.com|Sec-Fetch-Site: cross-site", true},
		{"POST", "http", "Origin: https://other.example.com", true},
		{"POST", "http", "Origin: vscode-webview://abc", true},
		{"POST", "http", "Sec-Fetch-Site: same-origin", true},
		{"GET", "http", "Sec-Fetch-Site: none", true},
		{"GET", "http", "Sec-Fetch-Site: same-site", false},
		{"GET", "http", "Sec-Fetch-Site: cross-site", false},
		{"GET", "http", "Sec-Fetch-Site: same-origin|Sec-Fetch-Site: cross-site", false},
		{"GET", "http", navigate, true},
		{"POST", "http", navigate, false},
		{"GET", "http", navigate + "|Upgrade: websocket", false},
		{"GET", "http", strings.Replace(navigate, "document", "iframe", 1), false},
		{"POST", "http", "Origin: http://cairn|Sec-Fetch-Site: cross-site", false},
	} {
		request, _ := http.NewRequest(row.method, "http://ignored/", nil)
		request.Host = "cairn"
		for _, line := range strings.Split(row.headers, "|") {
			if name, value, found := strings.Cut(line, ": "); found {
				request.Header.Add(name, value)
			}
		}
		if why := originRefusal(request, row.scheme, allowed); (why == "") != row.want {
			t.Errorf("%s %s %q: %q", row.method, row.scheme, row.headers, why)
		}
	}
}

func TestForgeableHeaders(t *testing.T) {
	for name, want := range map[string]bool{
		"Cairn-Internal-Caller": true, "cairn-internal-anything": true, "CAIRN_INTERNAL_SECRET": true, "Tailscale-User-Login": true, "tailscale_user_login": true,
		"X-Forwarded-For": true, "x-forwarded-whatever": true, "Forwarded": true, "forWARDED": true,
		"Cairn-Min-Position": false, "Forwarded-Not": false, "X-Forward": false, "Authorization": false,
	} {
		if forgeable(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func TestHostsByTheirForm(t *testing.T) {
	for text, want := range map[string]string{
		"Cairn": "cairn ", "cairn.:80": "cairn 80", "[FD7A::1]": "fd7a::1 ", "[fd7a:0::1]:65535": "fd7a::1 65535",
		"1.2.3.4:1": "1.2.3.4 1",
		// Any of these in a list of hosts that may be used is a mistake.
		"[fd7a::1": "", "[1.2.3.4]": "", "[cairn]": "", "[fe80::1%eth0]": "", "[fe80::1%eth0]:80": "", "[]": "", "[fd7a::1]80": "",
		"[fd7a::1]:": "", "[fd7a::1]:x": "", "cairn:x": "", "cairn:123456": "", "cairn:-1": "", "cairn:80:80": "", "a b": "",
		"a@b": "", "a/b": "", ".": "", "": "", "-a": "", "a-": "",
	} {
		host, port, err := splitHost(text)
		if got := host + " " + port; err == nil && got != want || err != nil && want != "" {
			t.Errorf("%q is %q: %v", text, got, err)
		}
	}
}

func TestOriginsByTheirForm(t *testing.T) {
	for text, want := range map[string]string{
		"HTTPS://Cairn:443": "https://cairn", "http://cairn:443": "http://cairn:443", "http://[FD7A::1]:80": "http://[fd7a::1]",
		"vscode-webview://abc": "vscode-webview://abc", "a+b.c-1://d": "a+b.c-1://d",
		"cairn": "", "null": "", "://cairn": "", "1a://cairn": "", "a b://cairn": "", "http:cairn": "", "http://": "",
		"http://cairn/": "", "http://a@cairn": "",
	} {
		if got, err := parseOrigin(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q: %v", text, got, err)
		}
	}
}
