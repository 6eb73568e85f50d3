// One member: raft over its folder, its network and the store that entries are applied to. Who may be a member, and how a node comes to know
// the others, is decided above.

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
	handOverDeadline = time.Second
	// More than are on their way; each may have 256 KB.
	cachedEntries = 64
)

// Leadership is what this member knows of who leads. Leader is "" while nobody is known to.
type Leadership struct {
	Leading bool   `json:"leading"`
	Leader  string `json:"leader"`
	Term    uint64 `json:"term"`
}

// Options say what a member is made of.
type Options struct {
	// Folder is the raft folder, 0700, of this member alone.
	Folder  string
	Fleet   string
	Epoch   string
	Profile Profile
	Keep    Keep
	Network Network
	// Admit is asked for each accepted connection after its hello was found to be for this member; nil admits all.
	Admit func(Hello, net.Conn) error
	// Voter says whether the embedder knows a server as a voter: asked of a joiner's admitting leader, and when no voter can be asked. Nil: a joiner takes all.
	Voter func(server string) bool
	// NodeOf names the device of a server, "" when it is unknown; told to members that ask. May be nil.
	NodeOf    func(server string) string
	Machine   Machine
	Applied   Applied
	Bootstrap bool
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
	stable    *votes
	fsm       *fsm
	snapshots *snapshots
	own       Hello
	refusals  *refusals
	elections *recent
	acks      *acks
	telling   *telling
	// life names this process's time as a member.
	life    string
	dialled lives

	testimonies testimonies
	keeping     keeping

	mu        sync.Mutex
	profile   atomic.Pointer[Profile]
	raft      atomic.Pointer[raft.Raft]
	transport atomic.Pointer[transport]
	closed    bool
	fatal     sync.Once
	transfer  func(*raft.Raft) error
	stopped   chan struct{}
	running   sync.WaitGroup
}

// Start checks the folders and begins; it returns before there is a leader.
func Start(ctx context.Context, options Options) (*Node, error) {
	server, err := ServerID(options.Folder)
	if err != nil {
		return nil, err
	}
	if options.Log == nil {
		options.Log = hclog.NewNullLogger()
	}
	if err := refuseLostLog(options.Folder); err != nil {
		return nil, err
	}
	log, err := openLog(options.Folder)
	if err != nil {
		return nil, err
	}
	node := &Node{server: server, options: options, log: log, stable: &votes{StableStore: log}, stopped: make(chan struct{}),
		own:      Hello{Wire: Wire, Fleet: options.Fleet, Epoch: options.Epoch, From: server},
		refusals: &refusals{byServer: map[string]Refusal{}}, elections: &recent{},
		acks: &acks{byServer: map[string]*ack{}}, telling: newTelling(), life: randomID(), dialled: lives{byServer: map[string]*life{}}, testimonies: testimonies{byServer: map[string]heard{}}}
	node.transfer = func(from *raft.Raft) error { return from.LeadershipTransfer().Error() }
	node.profile.Store(&options.Profile)
	node.snapshots = &snapshots{folder: options.Folder, fleet: options.Fleet, epoch: options.Epoch, machine: options.Machine, log: log,
		hold: node.holdLog, failed: node.diskFailed}
	if err := node.snapshots.sweep(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	node.fsm = &fsm{server: server, machine: options.Machine, snapshots: node.snapshots, failed: node.fail}
	node.fsm.committed = node.telling.soon
	node.fsm.conflicted = func() {
		// Nothing may be acknowledged any more that the removed log then lacks.
		node.transport.Load().Close()
		go node.restart()
	}
	applied := options.Applied
	if options.Bootstrap {
		applied, err = bootstrap(ctx, server, applied, log, node.stable, node.snapshots)
	}
	if err == nil {
		applied, err = reconcile(ctx, server, applied, log, node.snapshots)
	}
	if err == nil {
		node.fsm.skip.Store(applied.Index)
		log.failed, node.stable.failed = node.diskFailed, node.diskFailed
		err = node.run()
	}
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	node.running.Add(3)
	go node.accept()
	go node.tell()
	go node.guard()
	return node, nil
}

// ID is the server id of this member.
func (node *Node) ID() string { return node.server }

// run begins one life of raft over what is on disk.
func (node *Node) run() error {
	transport := newTransport(node)
	node.transport.Store(transport)
	config := configOf(node.server, *node.profile.Load(), node.options.Keep, node.options.Log)
	node.keeping.begin(config)
	// Entries are read again and again while they are sent to several members.
	cached, err := raft.NewLogCache(cachedEntries, node.log)
	if err != nil {
		return err
	}
	made, err := raft.NewRaft(config, node.fsm, cached, node.stable, node.snapshots, transport)
	if err != nil {
		transport.Close()
		return fmt.Errorf("starting raft in %s: %w", filepath.Clean(node.options.Folder), err)
	}
	node.raft.Store(made)
	seen := make(chan raft.Observation, 64)
	made.RegisterObserver(raft.NewObserver(seen, false, func(observation *raft.Observation) bool {
		switch observation.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	}))
	node.running.Add(1)
	go node.watch(made, seen)
	if node.alone(made) {
		go transport.stand()
	}
	return nil
}

// alone says whether this member is the only voter.
func (node *Node) alone(of *raft.Raft) bool {
	configuration := of.GetConfiguration()
	if configuration.Error() != nil {
		return false
	}
	voters, self := 0, false
	for _, server := range configuration.Configuration().Servers {
		if server.Suffrage == raft.Voter {
			voters++
			self = self || string(server.ID) == node.server
		}
	}
	return voters == 1 && self
}

func (node *Node) watch(of *raft.Raft, seen <-chan raft.Observation) {
	defer node.running.Done()
	var last Leadership
	for {
		if of.State() == raft.Shutdown {
			return
		}
		now := leadershipOf(of)
		if last.Term != 0 && now.Term > last.Term {
			node.elections.add(time.Now())
		}
		if now != last && node.options.OnLeadership != nil {
			node.options.OnLeadership(now)
		}
		last = now
		select {
		case <-seen:
		// An observation that found the channel full was dropped.
		case <-time.After(time.Second):
		case <-node.stopped:
			return
		}
	}
}

func leadershipOf(of *raft.Raft) Leadership {
	_, leader := of.LeaderWithID()
	return Leadership{Leading: of.State() == raft.Leader, Leader: string(leader), Term: of.CurrentTerm()}
}

// stepDown begins the next life of raft, in which this member does not lead until it is elected again.
func (node *Node) stepDown(from *raft.Raft) {
	node.mu.Lock()
	defer node.mu.Unlock()
	if node.closed || node.current() != from {
		return
	}
	if err := node.again(); err != nil {
		go node.fail(fmt.Errorf("starting raft again as a follower: %w", err))
	}
}

// guard hands the leadership over while the store does not follow: others would wait for a leader that can answer nothing (replication.md 23).
func (node *Node) guard() {
	defer node.running.Done()
	for {
		heartbeat := node.profile.Load().Heartbeat
		select {
		case <-time.After(heartbeat / 2):
		case <-node.stopped:
			return
		}
		now := node.current()
		behind := node.options.Machine.Behind()
		if behind < 2*heartbeat || now.State() != raft.Leader || node.alone(now) {
			continue
		}
		node.options.Log.Warn("the store does not follow; handing over", "behind", behind)
		if err := node.transfer(now); err != nil {
			node.options.Log.Warn("nobody takes over; raft starts again as a follower", "reason", err)
			node.stepDown(now)
		}
	}
}

// restart begins raft again with an empty log, after a snapshot replaced another history than the log has (replication.md 15).
func (node *Node) restart() {
	node.mu.Lock()
	defer node.mu.Unlock()
	if node.closed {
		return
	}
	node.options.Log.Warn("the log held another history than the snapshot that came; it is removed and raft starts again")
	err := node.current().Shutdown().Error()
	if err == nil {
		err = deleteLog(node.log)
	}
	if err == nil {
		err = node.run()
	}
	if err != nil {
		go node.fail(fmt.Errorf("starting raft again after a snapshot: %w", err))
	}
}

// SetProfile changes the timing. Of it hashicorp/raft can reload all but the leader's lease, and a lease that does not fit the heartbeats
// makes a leader step down all the time: so raft starts again in this process, after a leader handed over.
func (node *Node) SetProfile(next Profile) error {
	node.mu.Lock()
	defer node.mu.Unlock()
	if node.closed {
		return errors.New("the member is closed")
	}
	if *node.profile.Load() == next {
		return nil
	}
	node.profile.Store(&next)
	node.handOver(node.current())
	if err := node.again(); err != nil {
		err = fmt.Errorf("starting raft again with another profile: %w", err)
		go node.fail(err)
		return err
	}
	return nil
}

// again ends this life of raft and begins the next over the same folder, as a follower; the lock is held.
func (node *Node) again() error {
	if err := node.current().Shutdown().Error(); err != nil {
		return err
	}
	// The store gets what was handed on already; it must not come twice.
	node.fsm.skip.Store(max(node.fsm.skip.Load(), node.fsm.queued.Load()))
	return node.run()
}

// handOver gives a leader one second to find another one.
func (node *Node) handOver(from *raft.Raft) {
	if from.State() != raft.Leader || node.alone(from) {
		return
	}
	handed := make(chan struct{})
	go func() {
		defer close(handed)
		_ = node.transfer(from)
	}()
	select {
	case <-handed:
	case <-time.After(handOverDeadline):
	}
}

// diskFailed ends the member: what a disk lost once it may lose again, silently (replication.md 5). Connections go first, so that nothing
// that was not written is acknowledged.
func (node *Node) diskFailed(err error) {
	if open := node.transport.Load(); open != nil {
		open.Close()
	}
	node.fail(fmt.Errorf("the raft folder %s cannot be written: %w; see that its disk has room and is sound, then start again", filepath.Clean(node.options.Folder), err))
}

func (node *Node) fail(err error) {
	node.fatal.Do(func() {
		if node.options.OnFatal != nil {
			go node.options.OnFatal(err)
		}
	})
}

func (node *Node) current() *raft.Raft {
	return node.raft.Load()
}

// Close stops the member; a leader hands over first, within a second.
func (node *Node) Close() error {
	node.mu.Lock()
	defer node.mu.Unlock()
	if node.closed {
		return nil
	}
	node.closed = true
	last := node.current()
	node.handOver(last)
	close(node.stopped)
	err := errors.Join(last.Shutdown().Error(), node.options.Network.Close())
	node.running.Wait()
	return errors.Join(err, node.log.Close())
}
