// raft.sock as the machine: entries go out in frames, what is applied comes back, and the store is asked for marks, copies and installs.

package raftlog

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	maxUnappliedEntries = 1024
	maxUnappliedBytes   = 16 << 20
)

var errLinkClosed = errors.New("raft.sock is closed")

// ask is a request to the store.
type ask struct {
	Do     string `json:"do"`
	Server string `json:"server,omitempty"`
	Index  uint64 `json:"index,omitempty"`
	Term   uint64 `json:"term,omitempty"`
	Path   string `json:"path,omitempty"`
}

type answer struct {
	Error string          `json:"error,omitempty"`
	Ok    json.RawMessage `json:"ok,omitempty"`
}

type sentBatch struct {
	last  uint64
	count int
	bytes int
	at    time.Time
}

// link is one connection to TypeScript.
type link struct {
	conn    net.Conn
	writing sync.Mutex

	mu        sync.Mutex
	changed   chan struct{}
	closed    bool
	applied   uint64
	unapplied []sentBatch
	entries   int
	bytes     int
	asked     uint64
	waiting   map[uint64]chan answer
}

func newLink(conn net.Conn, applied uint64) *link {
	return &link{conn: conn, applied: applied, changed: make(chan struct{}), waiting: map[uint64]chan answer{}}
}

// notify wakes whoever waits for a change; the lock is held.
func (to *link) notify() {
	close(to.changed)
	to.changed = make(chan struct{})
}

func (to *link) close() {
	to.mu.Lock()
	defer to.mu.Unlock()
	if !to.closed {
		to.closed = true
		to.notify()
		to.conn.Close()
	}
}

func (to *link) send(frame []byte) error {
	to.writing.Lock()
	defer to.writing.Unlock()
	_, err := to.conn.Write(frame)
	return err
}

func (to *link) sendJSON(kind byte, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return to.send(EncodeFrame(kind, text))
}

// until waits for a condition over the link's state; the lock is held while it is looked at and when until returns.
func (to *link) until(ctx context.Context, holds func() bool) error {
	for !holds() {
		if to.closed {
			return errLinkClosed
		}
		changed := to.changed
		to.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		to.mu.Lock()
		if ctx.Err() != nil {
			return fmt.Errorf("the store is at entry %d: %w", to.applied, ctx.Err())
		}
	}
	return nil
}

// Apply sends a batch once the store is not too far behind.
func (to *link) Apply(batch []Entry) error {
	frame := EncodeCommitted(batch)
	last := batch[len(batch)-1].Index
	to.mu.Lock()
	err := to.until(context.Background(), func() bool {
		return !to.closed && (len(to.unapplied) == 0 || to.entries < maxUnappliedEntries && to.bytes+len(frame) <= maxUnappliedBytes)
	})
	if err == nil {
		to.unapplied = append(to.unapplied, sentBatch{last: last, count: len(batch), bytes: len(frame), at: time.Now()})
		to.entries += len(batch)
		to.bytes += len(frame)
	}
	to.mu.Unlock()
	if err != nil {
		return err
	}
	return to.send(frame)
}

func (to *link) acknowledged(index uint64) {
	to.mu.Lock()
	defer to.mu.Unlock()
	to.applied = max(to.applied, index)
	for len(to.unapplied) > 0 && to.unapplied[0].last <= to.applied {
		to.entries -= to.unapplied[0].count
		to.bytes -= to.unapplied[0].bytes
		to.unapplied = to.unapplied[1:]
	}
	to.notify()
}

// Behind is the age of the oldest batch that is not applied.
func (to *link) Behind() time.Duration {
	to.mu.Lock()
	defer to.mu.Unlock()
	if len(to.unapplied) == 0 {
		return 0
	}
	return time.Since(to.unapplied[0].at)
}

// AppliedIndex is the last entry that the store acknowledged.
func (to *link) AppliedIndex() uint64 {
	to.mu.Lock()
	defer to.mu.Unlock()
	return to.applied
}

// WaitApplied returns once the store holds entry index.
func (to *link) WaitApplied(ctx context.Context, index uint64) error {
	to.mu.Lock()
	defer to.mu.Unlock()
	return to.until(ctx, func() bool { return to.applied >= index })
}

func (to *link) request(ctx context.Context, what ask, into any) error {
	to.mu.Lock()
	if to.closed {
		to.mu.Unlock()
		return errLinkClosed
	}
	to.asked++
	id, reply := to.asked, make(chan answer, 1)
	to.waiting[id] = reply
	to.mu.Unlock()
	defer func() {
		to.mu.Lock()
		delete(to.waiting, id)
		to.mu.Unlock()
	}()
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	if err := to.send(EncodeFrame(FrameAsk, numbers(id), text)); err != nil {
		return err
	}
	for {
		to.mu.Lock()
		changed, closed := to.changed, to.closed
		to.mu.Unlock()
		if closed {
			return errLinkClosed
		}
		select {
		case said := <-reply:
			if said.Error != "" {
				return fmt.Errorf("the store could not %s: %.500s", what.Do, said.Error)
			}
			return json.Unmarshal(said.Ok, into)
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the store did not %s in time: %w", what.Do, ctx.Err())
		}
	}
}

func (to *link) Mark(ctx context.Context, server string, index, term uint64) (marked Marked, err error) {
	err = to.request(ctx, ask{Do: "mark", Server: server, Index: index, Term: term}, &marked)
	return marked, err
}

func (to *link) Copy(ctx context.Context, path string) error {
	return to.request(ctx, ask{Do: "copy", Path: path}, &struct{}{})
}

func (to *link) Install(ctx context.Context, server, path string, index, term uint64) (Applied, error) {
	var reply struct {
		Index uint64 `json:"index"`
		Term  uint64 `json:"term"`
	}
	err := to.request(ctx, ask{Do: "install", Server: server, Path: path, Index: index, Term: term}, &reply)
	if err == nil && reply.Index < index {
		err = fmt.Errorf("the installed copy is at entry %d, before its label %d", reply.Index, index)
	}
	if err == nil {
		to.mu.Lock()
		to.unapplied, to.entries, to.bytes = nil, 0, 0
		to.mu.Unlock()
		to.acknowledged(reply.Index)
	}
	return Applied{Index: reply.Index, Term: reply.Term, Server: server}, err
}

// read takes frames until the connection ends; propose is called in the order of arrival.
func (to *link) read(reader io.Reader, propose func(ticket uint64, data []byte)) error {
	for {
		kind, payload, err := ReadFrame(reader)
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(payload) < 8 {
			return fmt.Errorf("a frame of type %d with %d bytes on raft.sock", kind, len(payload))
		}
		first, rest := binary.BigEndian.Uint64(payload), payload[8:]
		switch kind {
		case FramePropose:
			propose(first, rest)
		case FrameApplied:
			to.acknowledged(first)
		case FrameAnswer:
			var said answer
			if err := json.Unmarshal(rest, &said); err != nil {
				return fmt.Errorf("an answer on raft.sock: %w", err)
			}
			to.mu.Lock()
			if reply := to.waiting[first]; reply != nil {
				delete(to.waiting, first)
				reply <- said
			}
			to.mu.Unlock()
		default:
			return fmt.Errorf("a frame of type %d on raft.sock", kind)
		}
	}
}
