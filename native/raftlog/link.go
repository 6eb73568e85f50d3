// The state machine behind raft.sock: sends committed entries in frames, receives acknowledgements, and asks the store
// for marks, copies and installs.

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

// ErrStoreGone is returned by a StateMachine whose store ended; whether it did what was asked is unknown.
var ErrStoreGone = errors.New("raft.sock is closed")

// storeRequest is a request to the store.
type storeRequest struct {
	Do     string `json:"do"`
	Server string `json:"server,omitempty"`
	Index  uint64 `json:"index,omitempty"`
	Term   uint64 `json:"term,omitempty"`
	Path   string `json:"path,omitempty"`
}

type storeReply struct {
	Error string          `json:"error,omitempty"`
	Ok    json.RawMessage `json:"ok,omitempty"`
}

type sentBatch struct {
	last   uint64
	count  int
	bytes  int
	sentAt time.Time
}

// link is one connection to TypeScript.
type link struct {
	conn    net.Conn
	writing sync.Mutex

	mu            sync.Mutex
	changed       chan struct{}
	closed        bool
	applied       uint64
	unapplied     []sentBatch
	entries       int
	bytes         int
	lastRequestID uint64
	pending       map[uint64]chan storeReply
	// progressAt is when TypeScript last applied a batch.
	progressAt time.Time
	// mayLeadAt is when TypeScript last reported that its event loop turns and that it can take writes; successor is what
	// it reported last.
	mayLeadAt time.Time
	successor string
}

func newLink(conn net.Conn, applied uint64) *link {
	return &link{conn: conn, applied: applied, changed: make(chan struct{}), pending: map[uint64]chan storeReply{},
		mayLeadAt: time.Now()}
}

// broadcast wakes every goroutine in waitFor. The caller holds mu.
func (l *link) broadcast() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.broadcast()
		l.conn.Close()
	}
}

func (l *link) send(frame []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	_, err := l.conn.Write(frame)
	return err
}

func (l *link) sendJSON(kind byte, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return l.send(EncodeFrame(kind, text))
}

// waitFor waits until cond holds. The caller holds mu, and cond is called with mu held; waitFor releases it meanwhile.
func (l *link) waitFor(ctx context.Context, cond func() bool) error {
	for !cond() {
		if l.closed {
			return ErrStoreGone
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		l.mu.Lock()
		if ctx.Err() != nil {
			return fmt.Errorf("the store is at entry %d: %w", l.applied, ctx.Err())
		}
	}
	return nil
}

// Apply sends a batch once the store is not too far behind.
func (l *link) Apply(previous uint64, batch []Entry) error {
	frame := EncodeCommitted(previous, batch)
	last := batch[len(batch)-1].Index
	l.mu.Lock()
	err := l.waitFor(context.Background(), func() bool {
		return !l.closed &&
			(len(l.unapplied) == 0 || l.entries < maxUnappliedEntries && l.bytes+len(frame) <= maxUnappliedBytes)
	})
	if err == nil {
		l.unapplied = append(l.unapplied, sentBatch{last: last, count: len(batch), bytes: len(frame), sentAt: time.Now()})
		l.entries += len(batch)
		l.bytes += len(frame)
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.send(frame)
}

// noteApplied records progress, which also shows that the event loop turns: a chunk of costly batches keeps the loop
// from its own report, and is no reason to hand over, since another leader would apply the same.
func (l *link) noteApplied(index uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applied, l.progressAt = max(l.applied, index), time.Now()
	if l.successor == "" {
		l.mayLeadAt = l.progressAt
	}
	for len(l.unapplied) > 0 && l.unapplied[0].last <= l.applied {
		l.entries -= l.unapplied[0].count
		l.bytes -= l.unapplied[0].bytes
		l.unapplied = l.unapplied[1:]
	}
	l.broadcast()
}

// ApplyLag returns for how long the oldest batch that is not applied waits for itself: since it was sent, or since the
// one before it was applied.
func (l *link) ApplyLag() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unapplied) == 0 {
		return 0
	}
	return min(time.Since(l.unapplied[0].sentAt), time.Since(l.progressAt))
}

// MayLead returns for how long the store has not reported that it may lead, and the server it named in its place.
func (l *link) MayLead() (silence time.Duration, successor string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.mayLeadAt), l.successor
}

// noteAlive records a report: without a successor, this server may lead.
func (l *link) noteAlive(successor string) error {
	if successor != "" && !serverPattern.MatchString(successor) {
		return fmt.Errorf("%.64q on raft.sock is not a server id", successor)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.successor = successor; successor == "" {
		l.mayLeadAt = time.Now()
	}
	return nil
}

// AppliedIndex returns the last entry that the store acknowledged.
func (l *link) AppliedIndex() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.applied
}

// WaitApplied returns once the store holds entry index.
func (l *link) WaitApplied(ctx context.Context, index uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waitFor(ctx, func() bool { return l.applied >= index })
}

func (l *link) request(ctx context.Context, req storeRequest, into any) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrStoreGone
	}
	l.lastRequestID++
	id, reply := l.lastRequestID, make(chan storeReply, 1)
	l.pending[id] = reply
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.pending, id)
		l.mu.Unlock()
	}()
	text, err := json.Marshal(req)
	if err != nil {
		return err
	}
	if err := l.send(EncodeFrame(FrameAsk, numbers(id), text)); err != nil {
		return err
	}
	for {
		l.mu.Lock()
		changed, closed := l.changed, l.closed
		l.mu.Unlock()
		if closed {
			return ErrStoreGone
		}
		select {
		case answer := <-reply:
			if answer.Error != "" {
				return fmt.Errorf("the store could not %s: %.500s", req.Do, answer.Error)
			}
			return json.Unmarshal(answer.Ok, into)
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the store did not %s in time: %w", req.Do, ctx.Err())
		}
	}
}

func (l *link) Mark(ctx context.Context, server string, index, term uint64) (marked Marked, err error) {
	err = l.request(ctx, storeRequest{Do: "mark", Server: server, Index: index, Term: term}, &marked)
	return marked, err
}

func (l *link) Copy(ctx context.Context, path string) error {
	return l.request(ctx, storeRequest{Do: "copy", Path: path}, &struct{}{})
}

func (l *link) Install(ctx context.Context, server, path string, index, term uint64) (Applied, error) {
	var reply struct {
		Index uint64 `json:"index"`
		Term  uint64 `json:"term"`
	}
	err := l.request(ctx, storeRequest{Do: "install", Server: server, Path: path, Index: index, Term: term}, &reply)
	if err == nil {
		l.mu.Lock()
		l.unapplied, l.entries, l.bytes = nil, 0, 0
		l.mu.Unlock()
		l.noteApplied(reply.Index)
	}
	return Applied{Index: reply.Index, Term: reply.Term, Server: server}, err
}

// read handles frames until the connection ends; it calls propose in the order of arrival, and erase.
func (l *link) read(reader io.Reader, propose func(ticket uint64, data []byte), erase func(index uint64)) error {
	for {
		kind, payload, err := ReadFrame(reader)
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
			return nil
		}
		if err != nil {
			return err
		}
		if kind == FrameAlive {
			if err := l.noteAlive(string(payload)); err != nil {
				return err
			}
			continue
		}
		if len(payload) < 8 {
			return fmt.Errorf("a frame of type %d with %d bytes on raft.sock", kind, len(payload))
		}
		id, rest := binary.BigEndian.Uint64(payload), payload[8:]
		switch kind {
		case FramePropose:
			propose(id, rest)
		case FrameApplied:
			l.noteApplied(id)
		case FrameErase:
			erase(id)
		case FrameAnswer:
			var answer storeReply
			if err := json.Unmarshal(rest, &answer); err != nil {
				return fmt.Errorf("invalid answer on raft.sock: %w", err)
			}
			l.mu.Lock()
			if reply := l.pending[id]; reply != nil {
				delete(l.pending, id)
				reply <- answer
			}
			l.mu.Unlock()
		default:
			return fmt.Errorf("a frame of type %d on raft.sock", kind)
		}
	}
}
