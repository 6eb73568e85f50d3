// Raft's transport over two pools of connections. One life of raft has one transport; the network below outlives it.
// What is accepted comes by line.go.

package raftlog

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
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

	mu    sync.Mutex
	lines map[*line]struct{}
	taken uint64
}

func newTransport(node *Node) *transport {
	made := func(pool string, timeout time.Duration) *raft.NetworkTransport {
		return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: newLayer(node, pool), MaxPool: poolSize, Timeout: timeout, Logger: node.options.Log, MaxRPCsInFlight: maxInFlight})
	}
	return &transport{NetworkTransport: made(PoolControl, controlDeadline), bulk: made(PoolBulk, bulkDeadline), node: node,
		self: raft.ServerAddress(node.server), calls: make(chan raft.RPC), closed: make(chan struct{}), lines: map[*line]struct{}{}}
}

// stand has this server ask for votes at once; a voter that is alone need not wait for a silence.
func (both *transport) stand() {
	answer := make(chan raft.RPCResponse, 1)
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(both.self), Addr: []byte(both.self)}
	select {
	case both.calls <- raft.RPC{Command: &raft.TimeoutNowRequest{RPCHeader: header}, RespChan: answer}:
	case <-both.closed:
	case <-time.After(controlDeadline):
	}
}

func (both *transport) Consumer() <-chan raft.RPC                               { return both.calls }
func (both *transport) LocalAddr() raft.ServerAddress                           { return both.self }
func (both *transport) EncodePeer(_ raft.ServerID, a raft.ServerAddress) []byte { return []byte(a) }
func (both *transport) DecodePeer(peer []byte) raft.ServerAddress               { return raft.ServerAddress(peer) }

// SetHeartbeatHandler does nothing: the fast path would change the term off the main thread (replication.md 11).
func (both *transport) SetHeartbeatHandler(func(raft.RPC)) {}

func (both *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) error {
	if len(request.Entries) == 0 {
		return both.NetworkTransport.AppendEntries(id, target, request, response)
	}
	both.node.telling.sent(string(id), request)
	err := both.bulk.AppendEntries(id, target, request, response)
	if err == nil {
		both.node.acknowledged(string(id), request, response)
	}
	return err
}

func (both *transport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	inner, err := both.bulk.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	watched := &pipeline{AppendPipeline: inner, sent: func(request *raft.AppendEntriesRequest) { both.node.telling.sent(string(id), request) }, done: make(chan raft.AppendFuture), closed: make(chan struct{})}
	go watched.watch(func(request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) {
		both.node.acknowledged(string(id), request, response)
	})
	return watched, nil
}

func (both *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, request *raft.InstallSnapshotRequest, response *raft.InstallSnapshotResponse, data io.Reader) error {
	return both.bulk.InstallSnapshot(id, target, request, response, data)
}

func (both *transport) Close() error {
	both.once.Do(func() { close(both.closed) })
	err := errors.Join(both.NetworkTransport.Close(), both.bulk.Close())
	both.NetworkTransport.CloseStreams()
	both.bulk.CloseStreams()
	both.mu.Lock()
	defer both.mu.Unlock()
	for open := range both.lines {
		open.Close()
	}
	return err
}

// pipeline passes on what goes and what comes back, and looks at it.
type pipeline struct {
	raft.AppendPipeline
	sent   func(*raft.AppendEntriesRequest)
	done   chan raft.AppendFuture
	closed chan struct{}
	once   sync.Once
}

func (line *pipeline) AppendEntries(request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	line.sent(request)
	return line.AppendPipeline.AppendEntries(request, response)
}

func (line *pipeline) Consumer() <-chan raft.AppendFuture { return line.done }

func (line *pipeline) Close() error {
	line.once.Do(func() { close(line.closed) })
	return line.AppendPipeline.Close()
}

func (line *pipeline) watch(look func(*raft.AppendEntriesRequest, *raft.AppendEntriesResponse)) {
	for {
		select {
		case ready := <-line.AppendPipeline.Consumer():
			if ready.Error() == nil {
				look(ready.Request(), ready.Response())
			}
			select {
			case line.done <- ready:
			case <-line.closed:
				return
			}
		case <-line.closed:
			return
		}
	}
}

// layer is a StreamLayer that dials and says hello; nothing is accepted by it.
type layer struct {
	node   *Node
	pool   string
	closed chan struct{}
	once   sync.Once
}

func newLayer(node *Node, pool string) *layer {
	return &layer{node: node, pool: pool, closed: make(chan struct{})}
}

func (stream *layer) Accept() (net.Conn, error) {
	<-stream.closed
	return nil, net.ErrClosed
}

func (stream *layer) Close() error {
	stream.once.Do(func() { close(stream.closed) })
	return nil
}

func (stream *layer) Addr() net.Addr { return serverAddr(stream.node.server) }

func (stream *layer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), min(timeout, helloDeadline))
	defer cancel()
	return stream.node.dial(ctx, string(address), stream.pool)
}

type serverAddr string

func (serverAddr) Network() string        { return "raft" }
func (address serverAddr) String() string { return string(address) }
