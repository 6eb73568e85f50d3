// Saves the UDP port of a node for its next start. Peers then reach the restarted node at the address they know; with
// another port they would keep sending to the old one until they notice.

package core

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func udpPortPath(stateDir string) string { return filepath.Join(stateDir, "udp-port") }

// savedUDPPort returns the port to try first; 0 means any. If it is in use, the engine takes any as well.
func savedUDPPort(stateDir string) uint16 {
	text, err := os.ReadFile(udpPortPath(stateDir))
	if err != nil {
		return 0
	}
	port, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 16)
	if err != nil {
		return 0
	}
	return uint16(port)
}

// saveUDPPort writes the port for the next start, atomically.
func saveUDPPort(stateDir string, port uint16) error {
	if port == 0 || port == savedUDPPort(stateDir) {
		return nil
	}
	path := udpPortPath(stateDir)
	if err := os.WriteFile(path+".new", fmt.Appendln(nil, port), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
