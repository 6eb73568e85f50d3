// One life of raft.sock: hello, start, frames until the connection ends, then the member stops.

package raftlog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	startDeadline = 10 * time.Minute
	maxProposals  = 64
)

// Serve runs a member for the TypeScript side behind conn until conn or ctx ends. Machine, Applied, OnLeadership and OnFatal of the options are set here;
// started is called with the running member.
func Serve(ctx context.Context, conn net.Conn, options Options, started func(*Node)) error {
	reader := bufio.NewReaderSize(conn, 256<<10)
	_ = conn.SetReadDeadline(time.Now().Add(helloDeadline))
	kind, payload, err := ReadFrame(reader)
	if err == nil && kind != FrameHello {
		err = fmt.Errorf("the first frame on raft.sock has type %d, not hello", kind)
	}
	if err == nil {
		options.Applied, err = DecodeHello(payload)
	}
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	_ = conn.SetReadDeadline(time.Time{})
	to := newLink(conn, options.Applied.Index)
	defer to.close()
	stop := context.AfterFunc(ctx, to.close)
	defer stop()

	options.Machine = to
	options.OnLeadership = func(now Leadership) { _ = to.sendJSON(FrameLeadership, now) }
	options.OnFatal = func(err error) {
		_ = to.sendJSON(FrameFatal, fatalOf(err))
		to.close()
	}
	queue := make(chan wanted, maxProposals)
	read := make(chan error, 1)
	go func() {
		read <- to.read(reader, func(ticket uint64, data []byte) {
			select {
			case queue <- wanted{ticket, data}:
			default:
				// The reader must go on: what it takes next may be what the proposals before wait for.
				_ = to.send(EncodeRefused(ticket, RefusedBusy))
			}
		})
		to.close()
	}()
	begin, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	running, err := Start(begin, options)
	if err != nil {
		_ = to.sendJSON(FrameFatal, fatalOf(err))
		return err
	}
	if started != nil {
		started(running)
	}
	if err := to.sendJSON(FrameWelcome, map[string]string{"server": running.ID()}); err != nil {
		to.close()
	}
	ended := make(chan struct{})
	go propose(running, to, queue, ended)
	err = <-read
	close(ended)
	return errors.Join(err, running.Close())
}

type wanted struct {
	ticket uint64
	data   []byte
}

// propose appends in the order of arrival; outcomes come in any.
func propose(node *Node, to *link, queue <-chan wanted, ended <-chan struct{}) {
	slots := make(chan struct{}, maxProposals)
	for {
		var next wanted
		select {
		case next = <-queue:
			slots <- struct{}{}
		case <-ended:
			return
		}
		proposal := node.Propose(next.data)
		go func() {
			index, term, err := proposal.Wait()
			<-slots
			if err == nil {
				_ = to.send(EncodeProposed(next.ticket, index, term))
				return
			}
			_ = to.send(EncodeRefused(next.ticket, RefusalOf(err)))
			if proposal.Replaced(ended) {
				_ = to.send(EncodeRefused(next.ticket, RefusedReplaced))
			}
		}()
	}
}

func fatalOf(err error) map[string]string {
	code := "failed"
	var quarantined *QuarantineError
	if errors.As(err, &quarantined) {
		code = "quarantine"
	}
	return map[string]string{"code": code, "message": err.Error()}
}
