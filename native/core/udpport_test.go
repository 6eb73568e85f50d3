// The UDP port outlives a node: a restart takes it again, and where it is in use any will do.

package core

import (
	"os"
	"testing"
)

func TestARestartTakesTheSameUDPPortUnlessItIsInUse(t *testing.T) {
	tailnet := startTailnet(t)
	first := startRig(t, tailnet, setUp{})
	port := lastUDPPort(first.params.StateDir)
	if port == 0 {
		t.Fatal("the port of a running node is not kept")
	}
	// A copy of the folder on the same machine, so to speak: the port is wanted twice.
	second := startRig(t, tailnet, setUp{change: func(params *UpParams) {
		params.Hostname = "twin"
		if err := os.MkdirAll(params.StateDir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := keepUDPPort(params.StateDir, port); err != nil {
			t.Fatal(err)
		}
	}})
	other := lastUDPPort(second.params.StateDir)
	if other == 0 || other == port {
		t.Fatalf("two nodes of one machine have the ports %d and %d", port, other)
	}

	first.stream.Close()
	<-first.served
	again := startRig(t, tailnet, setUp{change: func(params *UpParams) { params.StateDir = first.params.StateDir }})
	if got := lastUDPPort(again.params.StateDir); got != port {
		t.Errorf("the restarted node listens on %d, and did on %d", got, port)
	}
}

func TestWhatIsNoPortMeansAny(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "many", "-1", "65536", "0"} {
		if err := os.WriteFile(udpPortPath(dir), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lastUDPPort(dir); got != 0 {
			t.Errorf("%q is port %d", text, got)
		}
	}
	if err := keepUDPPort(dir, 0); err != nil || lastUDPPort(dir) != 0 {
		t.Errorf("an unknown port was kept: %v", err)
	}
}
