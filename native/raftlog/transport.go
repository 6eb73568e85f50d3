// Raft's transport over two connection pools. Each raft instance has one transport; the network below outlives it.
// inbound.go handles accepted connections.

package raftlog

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

const (
	controlDeadline = 2 * time.Second
	bulkDeadline    = 30 * time.Second
	poolSize        = 3
)

// transport sends heartbeats and votes over the control pool, entries and snapshots over the bulk pool.
type transport struct {
	*raft.NetworkTransport // control
	bulk                   *raft.NetworkTransport
	node                   *Node
	self                   raft.ServerAddress
	calls                  chan raft.RPC
	closed                 chan struct{}
	once                   sync.Once
	// held is set while raft must get no more calls; one that runs may still be answered.
	held atomic.Bool

	mu       sync.Mutex
	inbound  map[*inboundStream]struct{}
	accepted uint64
}

func newTransport(node *Node) *transport {
	newPool := func(pool string, timeout time.Duration) *raft.NetworkTransport {
		return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream:          newDialLayer(node, pool),
			MaxPool:         poolSize,
			Timeout:         timeout,
			Logger:          node.options.Log,
			MaxRPCsInFlight: maxInFlight,
		})
	}
	return &transport{
		NetworkTransport: newPool(PoolControl, controlDeadline),
		bulk:             newPool(PoolBulk, bulkDeadline),
		node:             node,
		self:             raft.ServerAddress(node.server),
		calls:            make(chan raft.RPC),
		closed:           make(chan struct{}),
		inbound:          map[*inboundStream]struct{}{},
	}
}

// campaign makes this server start an election at once; a sole voter need not wait for an election timeout.
func (t *transport) campaign() {
	reply := make(chan raft.RPCResponse, 1)
	select {
	case t.calls <- raft.RPC{Command: &raft.TimeoutNowRequest{RPCHeader: t.header()}, RespChan: reply}:
	case <-t.closed:
	case <-time.After(controlDeadline):
	}
}

// header names this server as the sender of a call.
func (t *transport) header() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(t.self), Addr: []byte(t.self)}
}

func (t *transport) Consumer() <-chan raft.RPC                               { return t.calls }
func (t *transport) LocalAddr() raft.ServerAddress                           { return t.self }
func (t *transport) EncodePeer(_ raft.ServerID, a raft.ServerAddress) []byte { return []byte(a) }
func (t *transport) DecodePeer(peer []byte) raft.ServerAddress               { return raft.ServerAddress(peer) }

// SetHeartbeatHandler does nothing: the fast path would change the term off the main thread (replication.md 11).
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, request *raft.AppendEntriesRequest,
	response *raft.AppendEntriesResponse) error {
	t.node.events.leads(request.Term)
	if len(request.Entries) == 0 {
		return t.NetworkTransport.AppendEntries(id, target, request, response)
	}
	t.node.followers.noteSent(string(id), request)
	err := t.bulk.AppendEntries(id, target, request, response)
	if err == nil {
		t.node.noteAcknowledged(string(id), request, response)
	}
	return err
}

func (t *transport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	inner, err := t.bulk.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	wrapped := &pipeline{
		AppendPipeline: inner,
		onSend:         func(request *raft.AppendEntriesRequest) { t.node.followers.noteSent(string(id), request) },
		done:           make(chan raft.AppendFuture),
		closed:         make(chan struct{}),
	}
	go wrapped.forward(func(request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) {
		t.node.noteAcknowledged(string(id), request, response)
	})
	return wrapped, nil
}

func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, request *raft.InstallSnapshotRequest,
	response *raft.InstallSnapshotResponse, data io.Reader) error {
	return t.bulk.InstallSnapshot(id, target, request, response, data)
}

func (t *transport) Close() error {
	t.once.Do(func() { close(t.closed) })
	err := errors.Join(t.NetworkTransport.Close(), t.bulk.Close())
	t.NetworkTransport.CloseStreams()
	t.bulk.CloseStreams()
	t.mu.Lock()
	defer t.mu.Unlock()
	for stream := range t.inbound {
		stream.Close()
	}
	return err
}

// pipeline reports each request and each successful reply of the pipeline that it wraps.
type pipeline struct {
	raft.AppendPipeline
	onSend func(*raft.AppendEntriesRequest)
	done   chan raft.AppendFuture
	closed chan struct{}
	once   sync.Once
}

func (p *pipeline) AppendEntries(request *raft.AppendEntriesRequest,
	response *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	p.onSend(request)
	return p.AppendPipeline.AppendEntries(request, response)
}

func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.done }

func (p *pipeline) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.AppendPipeline.Close()
}

func (p *pipeline) forward(onReply func(*raft.AppendEntriesRequest, *raft.AppendEntriesResponse)) {
	for {
		select {
		case ready := <-p.AppendPipeline.Consumer():
			if ready.Error() == nil {
				onReply(ready.Request(), ready.Response())
			}
			select {
			case p.done <- ready:
			case <-p.closed:
				return
			}
		case <-p.closed:
			return
		}
	}
}

// dialLayer is a StreamLayer that dials and sends the hello; it accepts nothing.
type dialLayer struct {
	node   *Node
	pool   string
	closed chan struct{}
	once   sync.Once
}

func newDialLayer(node *Node, pool string) *dialLayer {
	return &dialLayer{node: node, pool: pool, closed: make(chan struct{})}
}

func (d *dialLayer) Accept() (net.Conn, error) {
	<-d.closed
	return nil, net.ErrClosed
}

func (d *dialLayer) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

func (d *dialLayer) Addr() net.Addr { return serverAddr(d.node.server) }

func (d *dialLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), min(timeout, helloDeadline))
	defer cancel()
	return d.node.dial(ctx, string(address), d.pool)
}

type serverAddr string

func (serverAddr) Network() string  { return "raft" }
func (a serverAddr) String() string { return string(a) }
