// Tests that a restarted node reuses its UDP port, and takes any other if that is in use.

package core

import (
	"os"
	"testing"
)

func TestRestartReusesTheUDPPort(t *testing.T) {
	tailnet := startTailnet(t)
	first := startRig(t, tailnet, rigOptions{})
	port := savedUDPPort(first.params.StateDir)
	if port == 0 {
		t.Fatal("the port of a running node is not kept")
	}
	// A copy of the state folder on the same machine wants the same port.
	second := startRig(t, tailnet, rigOptions{change: func(params *UpParams) {
		params.Hostname = "twin"
		if err := os.MkdirAll(params.StateDir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := saveUDPPort(params.StateDir, port); err != nil {
			t.Fatal(err)
		}
	}})
	other := savedUDPPort(second.params.StateDir)
	if other == 0 || other == port {
		t.Fatalf("two nodes of one machine have the ports %d and %d", port, other)
	}

	first.stream.Close()
	<-first.served
	again := startRig(t, tailnet, rigOptions{change: func(params *UpParams) { params.StateDir = first.params.StateDir }})
	if got := savedUDPPort(again.params.StateDir); got != port {
		t.Errorf("the restarted node listens on %d, and did on %d", got, port)
	}
}

func TestInvalidSavedPortMeansAny(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "many", "-1", "65536", "0"} {
		if err := os.WriteFile(udpPortPath(dir), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := savedUDPPort(dir); got != 0 {
			t.Errorf("%q is port %d", text, got)
		}
	}
	if err := saveUDPPort(dir, 0); err != nil || savedUDPPort(dir) != 0 {
		t.Errorf("an unknown port was kept: %v", err)
	}
	// What is not known now does not replace what was.
	for _, port := range []uint16{4000, 0} {
		if err := saveUDPPort(dir, port); err != nil || savedUDPPort(dir) != 4000 {
			t.Errorf("the next start tries %d: %v", savedUDPPort(dir), err)
		}
	}
}
