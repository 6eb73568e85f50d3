// Connections between members: dialled and accepted by whoever embeds this, opened by a hello that both sides check (replication.md 18).

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

// Wire is the version of what members say to each other.
const Wire = 1

// Pools of connections: what must be quick never waits behind what is large (replication.md 24).
const (
	PoolControl = "control"
	PoolBulk    = "bulk"
)

// Besides there are connections for one question: who the members are, and the news that the other side lost what it had acknowledged.
const (
	poolAsk     = "ask"
	poolVerdict = "verdict"
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

// Hello opens every connection.
type Hello struct {
	Wire  int    `json:"wire"`
	Fleet string `json:"fleet"`
	Epoch string `json:"epoch"`
	From  string `json:"from"`
	To    string `json:"to"`
	Pool  string `json:"pool"`
	// Last is the entry that the receiver must have, in a verdict.
	Last uint64 `json:"last,omitempty"`
}

// helloReply takes or refuses a connection. Who takes it says who it is and where its log ends.
type helloReply struct {
	Refused string `json:"refused"`
	Wire    int    `json:"wire"`
	Fleet   string `json:"fleet"`
	Epoch   string `json:"epoch"`
	From    string `json:"from"`
	Last    uint64 `json:"last"`
	// Life is another one each time that the other side's process begins.
	Life string `json:"life"`
}

// RefusedError is why the other side did not take a connection: a code, then words.
type RefusedError struct{ Server, Reason string }

func (err *RefusedError) Error() string {
	return fmt.Sprintf("server %s refused the connection: %.200s", err.Server, err.Reason)
}

// refuse makes a reason that begins with its code.
func refuse(code, format string, values ...any) error {
	return errors.New(code + ": " + fmt.Sprintf(format, values...))
}

// check refuses what is not for this node of this fleet, before the embedder's own check.
func (hello Hello) check(own Hello) error {
	switch {
	case hello.Wire != own.Wire:
		return refuse("other_wire", "wire version %d, this node speaks %d", hello.Wire, own.Wire)
	case hello.Fleet != own.Fleet:
		return refuse("other_fleet", "fleet %.64q, this node is in %q", hello.Fleet, own.Fleet)
	case hello.Epoch != own.Epoch:
		return refuse("other_epoch", "epoch %.64q, this node is in %q", hello.Epoch, own.Epoch)
	case hello.To != own.From:
		return refuse("other_server", "server %.64q was dialled, this is %s", hello.To, own.From)
	case !serverPattern.MatchString(hello.From) || hello.From == own.From:
		return refuse("bad_hello", "server id %.64q", hello.From)
	case !slices.Contains([]string{PoolControl, PoolBulk, poolAsk, poolVerdict}, hello.Pool):
		return refuse("bad_hello", "pool %.64q", hello.Pool)
	}
	return nil
}

// open says hello on a dialled connection, waits until it is taken, and checks in turn who took it.
func (hello Hello) open(conn net.Conn) (helloReply, error) {
	var reply helloReply
	_ = conn.SetDeadline(time.Now().Add(helloDeadline))
	if err := writeJSON(conn, hello); err != nil {
		return reply, err
	}
	if err := readJSON(conn, &reply, maxHelloBytes); err != nil {
		return reply, err
	}
	if reply.Refused != "" {
		return reply, &RefusedError{hello.To, reply.Refused}
	}
	theirs := Hello{Wire: reply.Wire, Fleet: reply.Fleet, Epoch: reply.Epoch, From: reply.From, To: hello.From, Pool: hello.Pool}
	if err := theirs.check(hello); err != nil {
		return reply, &RefusedError{hello.To, err.Error()}
	}
	if reply.From != hello.To {
		return reply, &RefusedError{hello.To, refuse("other_server", "server %.64q answered there", reply.From).Error()}
	}
	return reply, conn.SetDeadline(time.Time{})
}

// read takes the hello of an accepted connection and checks that it is for this server; the deadline stays.
func (hello Hello) read(conn net.Conn) (theirs Hello, err error) {
	_ = conn.SetDeadline(time.Now().Add(helloDeadline))
	if err := readJSON(conn, &theirs, maxHelloBytes); err != nil {
		return theirs, err
	}
	return theirs, theirs.check(hello)
}

// accept tells the other side that it is taken, by whom, and where the log of this server ends.
func (hello Hello) accept(conn net.Conn, life string, last uint64) error {
	return writeJSON(conn, helloReply{Wire: hello.Wire, Fleet: hello.Fleet, Epoch: hello.Epoch, From: hello.From, Last: last, Life: life})
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
		return fmt.Errorf("a hello or its answer of %d bytes", size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(reader, text); err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
