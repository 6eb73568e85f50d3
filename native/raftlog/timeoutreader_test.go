// Tests that a stalled copy of the store is given up.

package raftlog

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// Bytes that arrive in time are all read; after a stall every later read fails at once, and the connection is closed.
func TestStalledCopyTimesOut(t *testing.T) {
	ours, theirs := net.Pipe()
	copied := func(length int64) *timeoutReader {
		return &timeoutReader{Reader: io.LimitReader(bufio.NewReader(ours), length), conn: ours, idle: 200 * time.Millisecond}
	}
	send := func(count int) {
		for range count {
			time.Sleep(80 * time.Millisecond)
			theirs.Write([]byte{1})
		}
	}
	go send(4)
	if got, err := io.ReadAll(copied(4)); len(got) != 4 || err != nil {
		t.Fatalf("a whole copy: %d bytes, then %v", len(got), err)
	}
	// Silence between two copies is allowed.
	time.Sleep(300 * time.Millisecond)
	reader := copied(6)
	go send(4)
	got, err := io.ReadAll(reader)
	if len(got) != 4 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes, then %v", len(got), err)
	}
	began := time.Now()
	if _, err := io.Copy(io.Discard, reader); err == nil || time.Since(began) > 100*time.Millisecond {
		t.Fatalf("the rest of a copy that failed: %v after %v", err, time.Since(began))
	}
	if _, err := theirs.Write([]byte{1}); err == nil {
		t.Fatal("the connection of a copy that failed is open")
	}
}
