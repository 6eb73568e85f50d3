// Messages to the service manager (systemd's sd_notify). The TypeScript half decides what to send and when; it sends
// through Go because Bun has no unix datagram sockets.

package core

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

const (
	notifyTimeout  = 2 * time.Second
	maxNotifyBytes = 4096
	// sun_path has 108 bytes on Linux and 104 on macOS, the final zero included.
	maxNotifySocketBytes = 107
)

// notify sends one datagram. It needs no node, so that a start can be reported before the tailnet is up.
func notify(ctx context.Context, params NotifyParams) error {
	abstract := strings.HasPrefix(params.Socket, "@")
	switch {
	case !abstract && !strings.HasPrefix(params.Socket, "/"),
		len(params.Socket) > maxNotifySocketBytes,
		strings.ContainsRune(params.Socket, 0):
		return badRequest("socket must be an absolute path or an abstract name with @, not %.120q", params.Socket)
	case params.State == "" || len(params.State) > maxNotifyBytes || strings.ContainsRune(params.State, 0):
		return badRequest("state must have 1 to %d bytes without NUL", maxNotifyBytes)
	}
	dialer := net.Dialer{Timeout: notifyTimeout}
	conn, err := dialer.DialContext(ctx, "unixgram", params.Socket)
	if err != nil {
		return &Fault{Code: CodeNotFound, Message: fmt.Sprintf("the service manager's socket does not answer: %v", err)}
	}
	defer conn.Close()
	_ = conn.SetWriteDeadline(time.Now().Add(notifyTimeout))
	if _, err := conn.Write([]byte(params.State)); err != nil {
		return &Fault{Code: CodeInternal, Message: fmt.Sprintf("cannot write to the service manager's socket: %v", err)}
	}
	return nil
}
