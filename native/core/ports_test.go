// Tests that no TCP port of the host is opened, in a build with the product's tags.

package core

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"cairn.internal/native/tailnettest"
	"tailscale.com/feature/buildfeatures"
)

// listening returns the inodes of this process's listening TCP sockets, with their addresses.
func listening(t *testing.T) map[string]string {
	t.Helper()
	inodes := map[string]bool{}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && strings.HasPrefix(link, "socket:[") {
			inodes[strings.Trim(link, "socket:[]")] = true
		}
	}
	found := map[string]string{}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		for _, line := range strings.Split(readText(t, table), "\n") {
			fields := strings.Fields(line)
			if len(fields) > 9 && fields[3] == "0A" && inodes[fields[9]] {
				found[fields[9]] = fields[1]
			}
		}
	}
	return found
}

func TestNoHostPortIsOpened(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks into /proc")
	}
	if buildfeatures.HasPeerAPIServer {
		t.Skip("this build lacks the product's tags: go test -tags \"$(cat tags.txt)\" ./core")
	}
	tailnet := startTailnet(t)
	before := listening(t)
	if len(before) < 2 {
		t.Fatalf("the tailnet's own servers are not seen: %v", before)
	}
	r := startRig(t, tailnet, rigOptions{})
	r.must("listen", ListenParams{Port: 4747}, nil)
	client := startClient(t, tailnet, tailnettest.ClientOptions{Hostname: "laptop"})
	if got := get(t, client, "http://cairn/"); got.Status != 200 {
		t.Fatalf("got %d", got.Status)
	}
	for inode, address := range listening(t) {
		if _, old := before[inode]; !old {
			t.Errorf("a new listener at %s", address)
		}
	}
}
