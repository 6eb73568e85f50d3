// Links: what the relay does to the packets from one node to another: delay, loss, a cut in one direction. It sees DERP
// frames, which name both ends and hide the content.

package tailnettest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"tailscale.com/derp"
	"tailscale.com/types/key"
)

const (
	maxLinkDelay  = 10 * time.Second
	maxFrameBytes = derp.MaxInfoLen + 1<<10
	maxHeld       = 8192 // queued packets of one direction; more are lost, as at any router
)

// Link is what happens to packets in one direction. The zero value passes all at once.
type Link struct {
	Delay  time.Duration // each packet is delayed by this; the order stays
	Jitter time.Duration // and by up to this much more
	Loss   float64       // fraction of lost packets, 0 to 1
	Cut    bool          // nothing passes
}

type direction struct{ from, to key.NodePublic }

// links holds the rules; the relay consults them for each packet.
type links struct {
	mu    sync.RWMutex
	rules map[direction]Link
}

func (l *links) rule(from, to key.NodePublic) Link {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.rules[direction{from, to}]
}

func (l *links) set(way direction, link Link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if link == (Link{}) {
		delete(l.rules, way)
		return
	}
	if l.rules == nil {
		l.rules = map[direction]Link{}
	}
	l.rules[way] = link
}

// SetLink sets what happens to packets from one node to another. "*" is every current node; a node's packets to itself
// are left out. Rules hold until they are replaced or the node's key changes. Direct paths must be forbidden, since
// only the relay applies the rules.
func (t *Tailnet) SetLink(from, to string, link Link) error {
	switch {
	case link.Delay < 0 || link.Jitter < 0 || link.Delay > maxLinkDelay || link.Jitter > maxLinkDelay:
		return fmt.Errorf("delay and jitter must be 0 to %v, not %v and %v", maxLinkDelay, link.Delay, link.Jitter)
	case !(link.Loss >= 0 && link.Loss <= 1):
		return fmt.Errorf("loss is a part of 1 and must be 0 to 1, not %v", link.Loss)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.direct && link != (Link{}) {
		return errors.New("links are made by the relay: forbid direct paths first")
	}
	senders, err := t.namedAllLocked(from)
	if err != nil {
		return err
	}
	receivers, err := t.namedAllLocked(to)
	if err != nil {
		return err
	}
	for _, sender := range senders {
		for _, receiver := range receivers {
			if sender != receiver {
				t.derp.links.set(direction{sender.key, receiver.key}, link)
			}
		}
	}
	return nil
}

func (t *Tailnet) namedAllLocked(name string) ([]*node, error) {
	if name == "*" {
		return t.sortedLocked(), nil
	}
	found := t.findLocked(name)
	if found == nil {
		return nil, unknownNode(name)
	}
	return []*node{found}, nil
}

// linked makes a handler that takes over its connection read only what the links let pass.
func (l *links) linked(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(&linkedWriter{w, l}, r)
	})
}

type linkedWriter struct {
	http.ResponseWriter
	links *links
}

func (w *linkedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	hijacker, ok := w.ResponseWriter.(http.Hijacker)
	if !ok {
		return nil, nil, errors.New("the connection cannot be taken over")
	}
	conn, both, err := hijacker.Hijack()
	if err != nil {
		return nil, nil, err
	}
	inner, outer := io.Pipe()
	pump := &pump{
		links: w.links, from: both.Reader, to: outer, keys: bufio.NewReaderSize(nil, derp.KeyLen),
		held: map[key.NodePublic]*heldPackets{}, ended: make(chan struct{}),
	}
	go pump.run()
	return &linkedConn{conn, inner}, bufio.NewReadWriter(bufio.NewReader(inner), both.Writer), nil
}

// linkedConn also ends the pump when the relay closes the connection.
type linkedConn struct {
	net.Conn
	inner *io.PipeReader
}

func (c *linkedConn) Close() error {
	c.inner.Close()
	return c.Conn.Close()
}

// pump carries the frames of one client to the relay. One write to the pipe is one frame.
type pump struct {
	links  *links
	from   *bufio.Reader
	to     *io.PipeWriter
	client key.NodePublic
	keys   *bufio.Reader // reads the receiver's key of each packet
	held   map[key.NodePublic]*heldPackets
	ended  chan struct{}
}

// heldPackets are the delayed packets for one receiver, in order.
type heldPackets struct {
	frames chan heldFrame
	last   time.Time // when the newest is due
}

type heldFrame struct {
	due   time.Time
	bytes []byte
}

func (p *pump) run() {
	defer close(p.ended)
	for {
		frame, err := p.read()
		if err == nil {
			err = p.pass(frame)
		}
		if err != nil {
			p.to.CloseWithError(err)
			return
		}
	}
}

func (p *pump) read() ([]byte, error) {
	var head [derp.FrameHeaderLen]byte
	if _, err := io.ReadFull(p.from, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > maxFrameBytes {
		return nil, fmt.Errorf("a DERP frame of %d bytes", size)
	}
	frame := make([]byte, len(head)+int(size))
	copy(frame, head[:])
	_, err := io.ReadFull(p.from, frame[len(head):])
	return frame, err
}

// pass forwards a frame, delays it or drops it. Rules apply to packets only; a client's first frame names it.
func (p *pump) pass(frame []byte) error {
	kind, body := derp.FrameType(frame[0]), frame[derp.FrameHeaderLen:]
	switch kind {
	case derp.FrameClientInfo:
		if err := p.client.ReadRawWithoutAllocating(bufio.NewReader(bytes.NewReader(body))); err != nil {
			return err
		}
	case derp.FrameSendPacket:
		p.keys.Reset(bytes.NewReader(body))
		var receiver key.NodePublic
		if err := receiver.ReadRawWithoutAllocating(p.keys); err != nil {
			return err
		}
		return p.send(receiver, frame)
	}
	_, err := p.to.Write(frame)
	return err
}

func (p *pump) send(to key.NodePublic, frame []byte) error {
	rule := p.links.rule(p.client, to)
	if rule.Cut || (rule.Loss > 0 && rand.Float64() < rule.Loss) {
		return nil
	}
	held := p.held[to]
	if held == nil && rule.Delay == 0 && rule.Jitter == 0 {
		_, err := p.to.Write(frame)
		return err
	}
	if held == nil {
		held = &heldPackets{frames: make(chan heldFrame, maxHeld)}
		p.held[to] = held
		go p.release(held.frames)
	}
	due := time.Now().Add(rule.Delay)
	if rule.Jitter > 0 {
		due = due.Add(rand.N(rule.Jitter))
	}
	if due.Before(held.last) {
		due = held.last
	}
	held.last = due
	select {
	case held.frames <- heldFrame{due, frame}:
	default: // lost
	}
	return nil
}

func (p *pump) release(frames <-chan heldFrame) {
	for {
		select {
		case <-p.ended:
			return
		case frame := <-frames:
			select {
			case <-p.ended:
				return
			case <-time.After(time.Until(frame.due)):
			}
			if _, err := p.to.Write(frame.bytes); err != nil {
				return
			}
		}
	}
}
