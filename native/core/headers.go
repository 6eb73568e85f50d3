// Headers that only this process may set, and headers that are not forwarded.

package core

import (
	"net/http"
	"strings"
)

const (
	headerCaller = "Cairn-Internal-Caller"
	headerSecret = "Cairn-Internal-Secret"
	headerScheme = "Cairn-Internal-Scheme"
	headerClose  = "Cairn-Internal-Close" // in a response: the caller's connection is closed after it
)

var forgeablePrefixes = []string{"cairn-internal-", "tailscale-", "x-forwarded-"}

// forgeable reports whether a header could be mistaken for one that a proxy vouches for, in any spelling: any case, and
// underscores, which some servers read as hyphens.
func forgeable(name string) bool {
	plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	if plain == "forwarded" {
		return true
	}
	for _, prefix := range forgeablePrefixes {
		if strings.HasPrefix(plain, prefix) {
			return true
		}
	}
	return false
}

func stripForgeable(header http.Header) {
	for name := range header {
		if forgeable(name) {
			delete(header, name)
		}
	}
}

// headerBytes returns the approximate size of a request's head on the wire.
func headerBytes(request *http.Request) int {
	size := len(request.Method) + len(request.RequestURI) + len(request.Host) + 20
	for name, values := range request.Header {
		for _, value := range values {
			size += len(name) + len(value) + 4
		}
	}
	return size
}

// headerFields returns the number of header fields of a request.
func headerFields(request *http.Request) int {
	count := 0
	for _, values := range request.Header {
		count += len(values)
	}
	return count
}
