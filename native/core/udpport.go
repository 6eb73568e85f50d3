// The UDP port of a node's last life: taken again at a start. What peers know of the way to this
// node is right again then; else they go on sending to where nobody listens until they notice.

package core

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func udpPortPath(stateDir string) string { return filepath.Join(stateDir, "udp-port") }

// lastUDPPort is the port to try first; 0 means any. The engine takes any as well where it is in use.
func lastUDPPort(stateDir string) uint16 {
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

// keepUDPPort writes down what the next start tries, whole or not at all.
func keepUDPPort(stateDir string, port uint16) error {
	if port == 0 || port == lastUDPPort(stateDir) {
		return nil
	}
	path := udpPortPath(stateDir)
	if err := os.WriteFile(path+".new", fmt.Appendln(nil, port), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
