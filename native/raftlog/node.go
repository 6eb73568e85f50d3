// One member: raft over its folder, its network and its store. The embedder decides which servers may be members and
// how nodes find each other.

package raftlog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const (
	enqueueDeadline  = time.Second
	transferDeadline = time.Second
	// More than can be in flight; each may have 256 KB.
	cachedEntries = 64
)

// Leadership is what this member knows about the leader. Leader is "" while it knows none.
type Leadership struct {
	Leading bool   `json:"leading"`
	Leader  string `json:"leader"`
	Term    uint64 `json:"term"`
}

// Options configures a member.
type Options struct {
	// Folder is the raft folder, mode 0700, used by this member only.
	Folder    string
	Fleet     string
	Epoch     string
	Profile   Profile
	Retention Retention
	Network   Network
	// Admit is called for each accepted connection once its hello is read, before any reply; nil admits all.
	Admit func(Hello, net.Conn) error
	// Voter reports whether the embedder knows a server as a voter. Called for a joiner's admitting leader, and when no
	// voter can be queried. If nil, a joiner accepts every server.
	Voter func(server string) bool
	// NodeOf returns the device of a server, "" if unknown; sent to members that query the member list. May be nil.
	NodeOf       func(server string) string
	StateMachine StateMachine
	Applied      Applied
	Bootstrap    bool
	// OnLeadership and OnFatal are called from goroutines of their own; after OnFatal the member must be closed.
	OnLeadership func(Leadership)
	OnFatal      func(error)
	Log          hclog.Logger
}

// Node is a running member.
type Node struct {
	server    string
	options   Options
	log       *logStore
	stable    *voteStore
	fsm       *fsm
	snapshots *snapshots
	own       Hello
	refusals  *refusals
	elections *eventCounter
	events    *raftEvents
	acks      *acks
	followers *followerProgress
	// incarnation is a random id of this process as a member.
	incarnation string
	outbound    incarnations

	voterRecords voterRecords
	logHold      logHold

	mu        sync.Mutex
	profile   atomic.Pointer[Profile]
	raft      atomic.Pointer[raft.Raft]
	transport atomic.Pointer[transport]
	closed    bool
	refused   atomic.Pointer[[]string]
	fatal     sync.Once
	transfer  func(*raft.Raft) error
	stopped   chan struct{}
	running   sync.WaitGroup
}

// Start checks the folders and starts the member; it returns before a leader is known.
func Start(ctx context.Context, options Options) (*Node, error) {
	server, err := ServerID(options.Folder)
	if err != nil {
		return nil, err
	}
	if options.Log == nil {
		options.Log = hclog.NewNullLogger()
	}
	if err := checkLogPresent(options.Folder); err != nil {
		return nil, err
	}
	log, err := openLog(options.Folder)
	if err != nil {
		return nil, quarantineIfDamaged(err)
	}
	node := newNode(server, options, log)
	if err := node.snapshots.removeStale(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	applied := options.Applied
	if options.Bootstrap {
		applied, err = bootstrap(ctx, server, applied, log, node.stable, node.snapshots)
	}
	if err == nil {
		applied, err = node.reconcile(ctx, applied)
	}
	if err == nil {
		node.fsm.skipUpTo.Store(applied.Index)
		log.onFailure, node.stable.onFailure = node.failDisk, node.failDisk
		err = node.startRaft()
	}
	if err != nil {
		return nil, errors.Join(quarantineIfDamaged(err), log.Close())
	}
	node.running.Add(3)
	go node.accept()
	go node.sendCommits()
	go node.watchStore()
	return node, nil
}

// newNode returns a member that is not started.
func newNode(server string, options Options, log *logStore) *Node {
	node := &Node{
		server:       server,
		options:      options,
		log:          log,
		stable:       &voteStore{StableStore: log.votes},
		stopped:      make(chan struct{}),
		own:          Hello{Wire: Wire, Fleet: options.Fleet, Epoch: options.Epoch, From: server},
		refusals:     &refusals{byServer: map[string]Refusal{}},
		elections:    &eventCounter{},
		acks:         &acks{byServer: map[string]*ack{}},
		followers:    newFollowerProgress(),
		incarnation:  randomID(),
		outbound:     incarnations{byServer: map[string]*incarnation{}},
		voterRecords: voterRecords{byServer: map[string]cachedVoterRecord{}},
	}
	node.events = &raftEvents{log: options.Log, server: server, epoch: options.Epoch}
	node.stable.onVote = node.events.votes
	node.transfer = func(from *raft.Raft) error { return from.LeadershipTransfer().Error() }
	node.profile.Store(&options.Profile)
	node.snapshots = &snapshots{
		folder:    options.Folder,
		fleet:     options.Fleet,
		epoch:     options.Epoch,
		store:     options.StateMachine,
		log:       log,
		holdLog:   node.holdLog,
		onFailure: node.failDisk,
	}
	node.fsm = &fsm{server: server, store: options.StateMachine, snapshots: node.snapshots, onFailure: node.fail}
	node.fsm.onCommitted = node.followers.wakeSender
	node.snapshots.noStore = node.fsm.noStore.Load
	node.fsm.onOlderLabel = func() {
		// Raft takes the label for its state; it must read its own record again before it gets another call.
		node.transport.Load().held.Store(true)
		go node.stepDown(node.current())
	}
	node.fsm.onConflict = func() {
		// Acknowledge nothing more: the log that is about to be removed would lack it.
		node.transport.Load().Close()
		go node.restartWithEmptyLog()
	}
	return node
}

// ID returns the server id of this member.
func (n *Node) ID() string { return n.server }

// startRaft starts a raft instance over what is on disk. A copy that an earlier instance received is settled first:
// raft would begin from it, and the store would lack what came before (replication.md 14).
func (n *Node) startRaft() error {
	var refused *refusedCopyError
	if _, err := n.fsm.settle(); err != nil && !errors.As(err, &refused) {
		return err
	}
	found, err := n.snapshots.newest()
	if err != nil {
		return err
	}
	if found != nil {
		n.fsm.passed.Store(found.Index)
	} else {
		n.fsm.passed.Store(0)
	}
	transport := newTransport(n)
	n.transport.Store(transport)
	config := configOf(n.server, *n.profile.Load(), n.options.Retention, n.options.Log)
	n.logHold.configure(config)
	// Entries are read repeatedly while they are sent to several members.
	cached, err := raft.NewLogCache(cachedEntries, n.log)
	if err != nil {
		return err
	}
	instance, err := raft.NewRaft(config, n.fsm, cached, n.stable, n.snapshots, transport)
	if err != nil {
		transport.Close()
		return fmt.Errorf("starting raft in %s: %w", filepath.Clean(n.options.Folder), err)
	}
	n.raft.Store(instance)
	observations := make(chan raft.Observation, 64)
	instance.RegisterObserver(raft.NewObserver(observations, false, func(observation *raft.Observation) bool {
		switch observation.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	}))
	n.running.Add(1)
	go n.watch(instance, observations)
	if n.isSoleVoter(instance) {
		go transport.campaign()
	}
	return nil
}

// isSoleVoter reports whether this member is the only voter.
func (n *Node) isSoleVoter(r *raft.Raft) bool {
	var servers []raft.Server
	if found := r.GetConfiguration(); found.Error() == nil {
		servers = found.Configuration().Servers
	}
	voters, self := 0, false
	for _, server := range servers {
		if server.Suffrage == raft.Voter {
			voters++
			self = self || string(server.ID) == n.server
		}
	}
	return voters == 1 && self
}

func (n *Node) watch(r *raft.Raft, observations <-chan raft.Observation) {
	defer n.running.Done()
	var last Leadership
	for {
		if r.State() == raft.Shutdown {
			return
		}
		now := n.leadershipOf(r)
		if last.Term != 0 && now.Term > last.Term {
			n.elections.add(time.Now())
		}
		if now != last && n.options.OnLeadership != nil {
			n.options.OnLeadership(now)
		}
		last = now
		select {
		case <-observations:
		// Poll as well: an observation is dropped when the channel is full.
		case <-time.After(time.Second):
		case <-n.stopped:
			return
		}
	}
}

// leadershipOf does not report the leadership of a member without a store: it only passes it on.
func (n *Node) leadershipOf(r *raft.Raft) Leadership {
	_, leader := r.LeaderWithID()
	if n.fsm.noStore.Load() && string(leader) == n.server {
		return Leadership{Term: r.CurrentTerm()}
	}
	return Leadership{Leading: r.State() == raft.Leader, Leader: string(leader), Term: r.CurrentTerm()}
}

// stepDown restarts raft, so that this member follows until it is elected again.
func (n *Node) stepDown(from *raft.Raft) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.current() != from {
		return
	}
	if err := n.restartRaft(); err != nil {
		go n.fail(fmt.Errorf("restarting raft as a follower: %w", err))
	}
}

// watchStore transfers leadership while the store lags, its process is silent, or it cannot take writes: clients would
// wait for a leader that cannot reply, or be refused by it. This also applies to an idle leader (replication.md 23).
func (n *Node) watchStore() {
	defer n.running.Done()
	for {
		heartbeat := n.profile.Load().Heartbeat
		select {
		case <-time.After(heartbeat / 2):
		case <-n.stopped:
			return
		}
		now := n.current()
		if n.fsm.noStore.Load() {
			n.passLeadershipOn(now)
			continue
		}
		lag := n.options.StateMachine.ApplyLag()
		silence, successor := n.options.StateMachine.MayLead()
		if max(lag, silence) < 2*heartbeat || now.State() != raft.Leader || n.isSoleVoter(now) {
			continue
		}
		n.options.Log.Warn("this server should not lead now; transferring leadership", "behind", lag,
			"silent", silence.Round(time.Millisecond), "to", successor)
		if err := n.transferTo(now, successor); err != nil {
			n.options.Log.Warn("leadership transfer failed; restarting raft as a follower", "reason", err)
			n.stepDown(now)
		}
	}
}

// transferTo transfers leadership to that voter, or to the most current one for "".
func (n *Node) transferTo(from *raft.Raft, server string) error {
	if server == "" {
		return n.transfer(from)
	}
	return from.LeadershipTransferToServer(raft.ServerID(server), raft.ServerAddress(server)).Error()
}

// restartWithEmptyLog restarts raft after a snapshot replaced a divergent history (replication.md 15).
func (n *Node) restartWithEmptyLog() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.options.Log.Warn("the log diverges from the received snapshot; removing it and restarting raft")
	err := n.current().Shutdown().Error()
	if err == nil {
		err = deleteLog(n.log)
	}
	if err == nil {
		err = n.startRaft()
	}
	if err != nil {
		go n.fail(fmt.Errorf("restarting raft after a snapshot: %w", err))
	}
}

// SetProfile changes the timing. hashicorp/raft can reload all of it but the leader's lease, and with a lease that does
// not fit the heartbeats a leader steps down again and again. So a leader transfers leadership, then raft restarts in
// this process.
func (n *Node) SetProfile(next Profile) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errors.New("the member is closed")
	}
	if *n.profile.Load() == next {
		return nil
	}
	n.profile.Store(&next)
	n.transferWithTimeout(n.current())
	if err := n.restartRaft(); err != nil {
		err = fmt.Errorf("restarting raft with another profile: %w", err)
		go n.fail(err)
		return err
	}
	return nil
}

// restartRaft replaces the raft instance by a new one over the same folder, as a follower. The caller holds mu.
func (n *Node) restartRaft() error {
	if err := n.current().Shutdown().Error(); err != nil {
		return err
	}
	// The store still receives what was queued before; it must not receive it twice.
	n.fsm.skipUpTo.Store(max(n.fsm.skipUpTo.Load(), n.fsm.queued.Load()))
	return n.startRaft()
}

// transferWithTimeout gives a leader one second to transfer leadership.
func (n *Node) transferWithTimeout(from *raft.Raft) {
	if from.State() != raft.Leader || n.isSoleVoter(from) {
		return
	}
	transferred := make(chan struct{})
	go func() {
		defer close(transferred)
		_ = n.transfer(from)
	}()
	select {
	case <-transferred:
	case <-time.After(transferDeadline):
	}
}

// failDisk ends the member: a disk that lost a write once may lose another one silently (replication.md 5). It closes
// the connections first, so that nothing unwritten is acknowledged.
func (n *Node) failDisk(err error) {
	if t := n.transport.Load(); t != nil {
		t.Close()
	}
	n.fail(fmt.Errorf(
		"the raft folder %s cannot be written: %w; check the disk and its free space, then restart",
		filepath.Clean(n.options.Folder), err))
}

func (n *Node) fail(err error) {
	n.fatal.Do(func() {
		if n.options.OnFatal != nil {
			go n.options.OnFatal(err)
		}
	})
}

func (n *Node) current() *raft.Raft {
	return n.raft.Load()
}

// Close stops the member; a leader transfers leadership first, within a second.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.closed = true
	last := n.current()
	n.transferWithTimeout(last)
	close(n.stopped)
	err := errors.Join(last.Shutdown().Error(), n.options.Network.Close())
	n.running.Wait()
	return errors.Join(err, n.log.Close())
}
