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
	"time"
)

// Wire is the version of what members say to each other.
const Wire = 1

// Pools of connections: what must be quick never waits behind what is large (replication.md 24).
const (
	PoolControl = "control"
	PoolBulk    = "bulk"
)

const (
	helloDeadline = 5 * time.Second
	maxHelloBytes = 4096
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
}

type helloReply struct {
	Refused string `json:"refused"`
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
	case hello.Pool != PoolControl && hello.Pool != PoolBulk:
		return refuse("bad_hello", "pool %.64q", hello.Pool)
	}
	return nil
}

// open says hello on a dialled connection and waits until it is taken.
func (hello Hello) open(conn net.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(helloDeadline))
	if err := writeJSON(conn, hello); err != nil {
		return err
	}
	var reply helloReply
	if err := readJSON(conn, &reply); err != nil {
		return err
	}
	if reply.Refused != "" {
		return &RefusedError{hello.To, reply.Refused}
	}
	return conn.SetDeadline(time.Time{})
}

// answer reads the hello of an accepted connection, checks it and says so.
func (hello Hello) answer(conn net.Conn, admit func(Hello, net.Conn) error) error {
	_ = conn.SetDeadline(time.Now().Add(helloDeadline))
	var theirs Hello
	if err := readJSON(conn, &theirs); err != nil {
		return err
	}
	err := theirs.check(hello)
	if err == nil && admit != nil {
		err = admit(theirs, conn)
	}
	if err != nil {
		return errors.Join(err, writeJSON(conn, helloReply{Refused: err.Error()}))
	}
	if err := writeJSON(conn, helloReply{}); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

func writeJSON(writer io.Writer, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = writer.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	return err
}

func readJSON(reader io.Reader, into any) error {
	var head [4]byte
	if _, err := io.ReadFull(reader, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxHelloBytes {
		return fmt.Errorf("a hello of %d bytes", size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(reader, text); err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
