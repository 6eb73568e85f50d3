// Tests of messages to the service manager: one datagram each, and refusals.

package core

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNotifySendsOneDatagram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify.sock")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	if err := notify(context.Background(), NotifyParams{Socket: path, State: "READY=1\nSTATUS=serving"}); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 100)
	_ = manager.SetReadDeadline(time.Now().Add(5 * time.Second))
	count, err := manager.Read(buffer)
	if err != nil || string(buffer[:count]) != "READY=1\nSTATUS=serving" {
		t.Fatalf("read %q, %v", buffer[:count], err)
	}
}

func TestNotifyRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		params NotifyParams
		code   string
	}{
		"a relative socket": {NotifyParams{Socket: "run/notify", State: "READY=1"}, CodeBadRequest},
		"no socket":         {NotifyParams{State: "READY=1"}, CodeBadRequest},
		"a long socket":     {NotifyParams{Socket: "/" + strings.Repeat("s", 200), State: "READY=1"}, CodeBadRequest},
		"no state":          {NotifyParams{Socket: "/run/notify"}, CodeBadRequest},
		"a long state":      {NotifyParams{Socket: "/run/notify", State: strings.Repeat("s", 5000)}, CodeBadRequest},
		"a zero in it":      {NotifyParams{Socket: "/run/notify", State: "READY=1\x00"}, CodeBadRequest},
		"a zero in a path":  {NotifyParams{Socket: "/run/\x00", State: "READY=1"}, CodeBadRequest},
		"a longer socket":   {NotifyParams{Socket: "/" + strings.Repeat("s", maxNotifySocketBytes), State: "READY=1"}, CodeBadRequest},
		"the longest":       {NotifyParams{Socket: "/" + strings.Repeat("s", maxNotifySocketBytes-1), State: "READY=1"}, CodeNotFound},
		"a longer state":    {NotifyParams{Socket: "/none", State: strings.Repeat("s", maxNotifyBytes+1)}, CodeBadRequest},
		"the longest state": {NotifyParams{Socket: "/none", State: strings.Repeat("s", maxNotifyBytes)}, CodeNotFound},
		"no listener":       {NotifyParams{Socket: filepath.Join(t.TempDir(), "none"), State: "READY=1"}, CodeNotFound},
	} {
		var fault *Fault
		if err := notify(context.Background(), row.params); !errors.As(err, &fault) || fault.Code != row.code {
			t.Errorf("%s: %v, wanted %s", name, err, row.code)
		}
	}
}
