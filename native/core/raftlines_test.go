// Tests of the levels at which raft's lines appear in the log.

package core

import (
	"errors"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

func TestRaftLineLevel(t *testing.T) {
	for _, row := range []struct {
		level   hclog.Level
		message string
		values  []any
		want    string
	}{
		{hclog.Error, "failed to get log", []any{"index", uint64(1), "error", raft.ErrLogNotFound}, "debug"},
		{hclog.Error, "failed to get log", []any{"index", uint64(1), "error", errors.New("disk")}, "warning"},
		{hclog.Error, "failed to appendEntries to", []any{"error", raft.ErrLogNotFound}, "warning"},
		{hclog.Warn, "heartbeat timeout reached", nil, "info"},
		{hclog.Info, "entering follower state", nil, "debug"},
		{hclog.Debug, "votes", nil, ""},
	} {
		if got := raftLineLevel(row.level, row.message, row.values); got != row.want {
			t.Errorf("%v %q %v: %q, want %q", row.level, row.message, row.values, got, row.want)
		}
	}
}
