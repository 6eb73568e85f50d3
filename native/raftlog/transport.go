// Raft's transport over two pools of connections. One life of raft has one transport; the network below outlives it.

package raftlog

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const (
	controlDeadline = 2 * time.Second
	bulkDeadline    = 30 * time.Second
	poolSize        = 3
)

// transport sends heartbeats and votes over the control pool, entries and snapshots over the bulk pool.
type transport struct {
	*raft.NetworkTransport // control; it also serves what is accepted
	bulk                   *raft.NetworkTransport
	self                   raft.ServerAddress
	calls                  chan raft.RPC
	closed                 chan struct{}
	once                   sync.Once
	layer                  *layer
}

func newTransport(network Network, own Hello, refused *refusals, log hclog.Logger) *transport {
	accepting := newLayer(network, own, PoolControl, refused)
	made := func(stream raft.StreamLayer, timeout time.Duration) *raft.NetworkTransport {
		return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: stream, MaxPool: poolSize, Timeout: timeout, Logger: log, MaxRPCsInFlight: 16})
	}
	both := &transport{NetworkTransport: made(accepting, controlDeadline), self: raft.ServerAddress(own.From), layer: accepting,
		bulk: made(newLayer(network, own, PoolBulk, refused), bulkDeadline), calls: make(chan raft.RPC), closed: make(chan struct{})}
	go both.forward()
	return both
}

func (both *transport) forward() {
	for {
		select {
		case call := <-both.NetworkTransport.Consumer():
			select {
			case both.calls <- call:
			case <-both.closed:
				return
			}
		case <-both.closed:
			return
		}
	}
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
	return both.bulk.AppendEntries(id, target, request, response)
}

func (both *transport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	return both.bulk.AppendEntriesPipeline(id, target)
}

func (both *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, request *raft.InstallSnapshotRequest, response *raft.InstallSnapshotResponse, data io.Reader) error {
	return both.bulk.InstallSnapshot(id, target, request, response, data)
}

func (both *transport) Close() error {
	both.once.Do(func() { close(both.closed) })
	err := errors.Join(both.NetworkTransport.Close(), both.bulk.Close())
	both.NetworkTransport.CloseStreams()
	both.bulk.CloseStreams()
	both.layer.drop()
	return err
}

// layer is a StreamLayer over the network: it says hello on what it dials, and takes what was accepted and checked elsewhere.
type layer struct {
	network  Network
	own      Hello
	pool     string
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
	refusals *refusals
	mu       sync.Mutex
	open     map[net.Conn]struct{}
}

func newLayer(network Network, own Hello, pool string, refused *refusals) *layer {
	return &layer{network: network, own: own, pool: pool, refusals: refused,
		incoming: make(chan net.Conn), closed: make(chan struct{}), open: map[net.Conn]struct{}{}}
}

// hand gives an accepted connection to raft, which serves it until it ends.
func (stream *layer) hand(conn net.Conn) {
	stream.mu.Lock()
	for known := range stream.open {
		if tracked, is := known.(*trackedConn); is && tracked.ended() {
			delete(stream.open, known)
		}
	}
	tracked := &trackedConn{Conn: conn, gone: make(chan struct{})}
	stream.open[tracked] = struct{}{}
	stream.mu.Unlock()
	select {
	case stream.incoming <- tracked:
	case <-stream.closed:
		conn.Close()
	}
}

func (stream *layer) drop() {
	stream.mu.Lock()
	defer stream.mu.Unlock()
	for conn := range stream.open {
		conn.Close()
	}
	clear(stream.open)
}

func (stream *layer) Accept() (net.Conn, error) {
	select {
	case conn := <-stream.incoming:
		return conn, nil
	case <-stream.closed:
		return nil, net.ErrClosed
	}
}

func (stream *layer) Close() error {
	stream.once.Do(func() { close(stream.closed) })
	return nil
}

func (stream *layer) Addr() net.Addr { return serverAddr(stream.own.From) }

func (stream *layer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), min(timeout, helloDeadline))
	defer cancel()
	conn, err := stream.network.Dial(ctx, string(address))
	if err != nil {
		return nil, err
	}
	hello := stream.own
	hello.To, hello.Pool = string(address), stream.pool
	err = hello.open(conn)
	stream.refusals.note(hello.To, err)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

type serverAddr string

func (serverAddr) Network() string        { return "raft" }
func (address serverAddr) String() string { return string(address) }

type trackedConn struct {
	net.Conn
	once sync.Once
	gone chan struct{}
}

func (conn *trackedConn) Close() error {
	conn.once.Do(func() { close(conn.gone) })
	return conn.Conn.Close()
}

func (conn *trackedConn) ended() bool {
	select {
	case <-conn.gone:
		return true
	default:
		return false
	}
}
