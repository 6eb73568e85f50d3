// Connections between members. The embedder dials and accepts them; each opens with a hello that both sides check
// (replication.md 18).

package raftlog

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// Wire is the version of the protocol between members.
const Wire = 1

// Connection pools of raft: urgent calls never wait behind large ones (replication.md 24).
const (
	PoolControl = "control"
	PoolBulk    = "bulk"
)

// Pools of connections with a single purpose: query the member list, and notify a server that it lost acknowledged
// entries.
const (
	poolQuery    = "ask"
	poolDataLoss = "verdict"
)

const (
	helloDeadline = 5 * time.Second
	maxHelloBytes = 4096
	maxReplyBytes = 64 << 10
)

// Network reaches members by their server id.
type Network interface {
	Dial(ctx context.Context, server string) (net.Conn, error)
	Accept() (net.Conn, error)
	Close() error
}

// Hello is the first message on every connection.
type Hello struct {
	Wire  int    `json:"wire"`
	Fleet string `json:"fleet"`
	Epoch string `json:"epoch"`
	From  string `json:"from"`
	To    string `json:"to"`
	Pool  string `json:"pool"`
	// Last is the entry that the receiver acknowledged, in a data loss notice.
	Last uint64 `json:"last,omitempty"`
}

// helloReply accepts or refuses a connection. An accepting server names itself and the end of its log.
type helloReply struct {
	Refused string `json:"refused"`
	Wire    int    `json:"wire"`
	Fleet   string `json:"fleet"`
	Epoch   string `json:"epoch"`
	From    string `json:"from"`
	Last    uint64 `json:"last"`
	// Incarnation differs for each process of the server.
	Incarnation string `json:"life"`
}

// RefusedError is the reason why the other side refused a connection: a code, then text.
type RefusedError struct{ Server, Reason string }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("server %s refused the connection: %.200s", e.Server, e.Reason)
}

// refusalf returns an error whose text begins with code.
func refusalf(code, format string, values ...any) error {
	return errors.New(code + ": " + fmt.Sprintf(format, values...))
}

// checkShape refuses a hello whose sender or pool cannot be; the reason contains nothing of this node.
func (h Hello) checkShape() error {
	switch {
	case !serverPattern.MatchString(h.From):
		return refusalf("bad_hello", "server id %.64q", h.From)
	case !slices.Contains([]string{PoolControl, PoolBulk, poolQuery, poolDataLoss}, h.Pool):
		return refusalf("bad_hello", "pool %.64q", h.Pool)
	}
	return nil
}

// check refuses a hello that is not for this node in this fleet. The reasons name this node's own values, so the sender
// must be admitted before it receives one (security.md 8).
func (h Hello) check(own Hello) error {
	switch {
	case h.Wire != own.Wire:
		return refusalf("other_wire", "wire version %d, this node speaks %d", h.Wire, own.Wire)
	case h.Fleet != own.Fleet:
		return refusalf("other_fleet", "fleet %.64q, this node is in %q", h.Fleet, own.Fleet)
	case h.Epoch != own.Epoch:
		return refusalf("other_epoch", "epoch %.64q, this node is in %q", h.Epoch, own.Epoch)
	case h.To != own.From:
		return refusalf("other_server", "server %.64q was dialed, this is %s", h.To, own.From)
	case h.From == own.From:
		return refusalf("bad_hello", "server id %.64q is this node's own", h.From)
	}
	return h.checkShape()
}

// open sends the hello on a dialed connection, waits for the reply, and checks which server accepted.
func (h Hello) open(conn net.Conn) (helloReply, error) {
	var reply helloReply
	_ = conn.SetDeadline(time.Now().Add(helloDeadline))
	if err := writeJSON(conn, h); err != nil {
		return reply, err
	}
	if err := readJSON(conn, &reply, maxHelloBytes); err != nil {
		return reply, err
	}
	if reply.Refused != "" {
		return reply, &RefusedError{h.To, reply.Refused}
	}
	theirs := Hello{Wire: reply.Wire, Fleet: reply.Fleet, Epoch: reply.Epoch, From: reply.From, To: h.From, Pool: h.Pool}
	if err := theirs.check(h); err != nil {
		return reply, &RefusedError{h.To, err.Error()}
	}
	if reply.From != h.To {
		return reply, &RefusedError{h.To, refusalf("other_server", "server %.64q answered there", reply.From).Error()}
	}
	return reply, conn.SetDeadline(time.Time{})
}

// readHello reads the hello of an accepted connection and checks its shape; the deadline stays set.
func readHello(conn net.Conn) (theirs Hello, err error) {
	_ = conn.SetDeadline(time.Now().Add(helloDeadline))
	if err := readJSON(conn, &theirs, maxHelloBytes); err != nil {
		return Hello{}, err
	}
	return theirs, theirs.checkShape()
}

// accept sends the reply that accepts a connection: this server's identity, its incarnation and the end of its log.
func (h Hello) accept(conn net.Conn, incarnation string, last uint64) error {
	return writeJSON(conn,
		helloReply{Wire: h.Wire, Fleet: h.Fleet, Epoch: h.Epoch, From: h.From, Last: last, Incarnation: incarnation})
}

func writeJSON(writer io.Writer, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = writer.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	return err
}

func readJSON(reader io.Reader, into any, limit uint32) error {
	var head [4]byte
	if _, err := io.ReadFull(reader, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > limit {
		return fmt.Errorf("a hello or its reply has %d bytes, which is too large", size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(reader, text); err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
