// Serves one connection of raft.sock: hello, start, frames until the connection ends; then stops the member.

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

// Serve runs a member for the TypeScript side of conn until conn or ctx ends. It sets StateMachine, Applied,
// OnLeadership and OnFatal of the options, and calls started with the running member.
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
	l := newLink(conn, options.Applied.Index)
	defer l.close()
	stop := context.AfterFunc(ctx, l.close)
	defer stop()

	options.StateMachine = l
	options.OnLeadership = func(now Leadership) { _ = l.sendJSON(FrameLeadership, now) }
	options.OnFatal = func(err error) {
		_ = l.sendJSON(FrameFatal, fatalOf(err))
		l.close()
	}
	queue := make(chan queuedProposal, maxProposals)
	erasures := make(chan uint64, 1)
	read := make(chan error, 1)
	go func() {
		read <- l.read(reader, func(ticket uint64, data []byte) {
			select {
			case queue <- queuedProposal{ticket, data}:
			default:
				// The reader must not block: the proposals in the queue may wait for the next frame it reads.
				_ = l.send(EncodeRefused(ticket, RefusedBusy))
			}
		}, func(index uint64) {
			select {
			case erasures <- index:
			default:
				_ = l.send(EncodeErased(index, "an earlier request is not done yet"))
			}
		})
		l.close()
	}()
	startCtx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	member, err := Start(startCtx, options)
	if err != nil {
		_ = l.sendJSON(FrameFatal, fatalOf(err))
		return err
	}
	if started != nil {
		started(member)
	}
	if err := l.sendJSON(FrameWelcome, map[string]string{"server": member.ID()}); err != nil {
		l.close()
	}
	ended := make(chan struct{})
	go propose(member, l, queue, ended)
	go erase(member, l, erasures, ended)
	err = <-read
	close(ended)
	return errors.Join(err, member.Close())
}

type queuedProposal struct {
	ticket uint64
	data   []byte
}

// propose appends in the order of arrival; outcomes are sent in any order.
func propose(node *Node, l *link, queue <-chan queuedProposal, ended <-chan struct{}) {
	slots := make(chan struct{}, maxProposals)
	for {
		var next queuedProposal
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
				_ = l.send(EncodeProposed(next.ticket, index, term))
				return
			}
			_ = l.send(EncodeRefused(next.ticket, RefusalOf(err)))
			if proposal.Replaced(ended) {
				_ = l.send(EncodeRefused(next.ticket, RefusedReplaced))
			}
		}()
	}
}

// erase handles one request after the other.
func erase(node *Node, l *link, indexes <-chan uint64, ended <-chan struct{}) {
	for {
		select {
		case index := <-indexes:
			reason := ""
			if err := node.Erase(index); err != nil {
				reason = fmt.Sprintf("%.500s", err.Error())
			}
			_ = l.send(EncodeErased(index, reason))
		case <-ended:
			return
		}
	}
}

func fatalOf(err error) map[string]string {
	code := "failed"
	var quarantined *QuarantineError
	if errors.As(err, &quarantined) {
		code = "quarantine"
	}
	var unusable *StoreError
	if errors.As(err, &unusable) {
		code = "store"
	}
	return map[string]string{"code": code, "message": err.Error()}
}
