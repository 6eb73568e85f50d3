// The raft member of this node, controlled by the channel's raft-* methods. raftlog implements the member; raftnet.go
// connects members over the tailnet. A member needs no node until it has peers.

package core

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cairn.internal/native/raftlog"
	"github.com/hashicorp/raft"
)

const (
	maxRaftMembers = 256
	// A unix socket's path: 108 bytes on Linux, 104 on macOS, the final zero included.
	maxSocketPath = 103
)

var (
	serverShape = regexp.MustCompile(`^[0-9a-f]{32}$`)
	nodeShape   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	fleetShape  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

// raftHost holds the one member that may be open.
type raftHost struct {
	session *session

	mu       sync.Mutex
	instance *raftInstance
}

// raftInstance is one member from raft-open until raft-close or the end of raft.sock.
type raftInstance struct {
	network *raftNetwork
	cancel  context.CancelFunc
	member  atomic.Pointer[raftlog.Node]
	done    chan struct{}
}

func (h *raftHost) open(_ context.Context, params RaftOpenParams) (any, error) {
	profile, err := checkRaftOpen(&params)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.instance != nil {
		return nil, &Fault{Code: CodeAlreadyUp, Message: "a raft member is open already", Hint: "Call raft-close first."}
	}
	server, err := raftlog.ServerID(params.Folder)
	if err != nil {
		return nil, &Fault{Code: CodeInternal, Message: "cannot open the raft folder: " + err.Error()}
	}
	listener, err := listenPrivate(params.Socket)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(h.session.ctx)
	instance := &raftInstance{cancel: cancel, done: make(chan struct{}), network: newRaftNetwork(h.session)}
	instance.network.setMembers(params.Members)
	instance.network.queryVoter = func(server string) (raftlog.VoterRecord, error) {
		member := instance.member.Load()
		if member == nil {
			return raftlog.VoterRecord{}, nil
		}
		return member.LookupVoter(server)
	}
	h.instance = instance
	goSafe("the raft member", h.session.logError, func() {
		defer func() {
			cancel()
			listener.Close()
			_ = instance.network.Close()
			h.mu.Lock()
			h.instance = nil
			h.mu.Unlock()
			close(instance.done)
		}()
		h.serve(ctx, instance, listener, params, profile)
	})
	return RaftOpenResult{Server: server}, nil
}

// serve waits for the connection of raft.sock and runs the member on it.
func (h *raftHost) serve(ctx context.Context, instance *raftInstance, listener net.Listener, params RaftOpenParams,
	profile raftlog.Profile) {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	conn, err := listener.Accept()
	if err != nil {
		return
	}
	// An instance serves one connection only.
	listener.Close()
	failed := raftlog.Serve(ctx, conn, raftlog.Options{
		Folder:    params.Folder,
		Fleet:     params.Fleet,
		Epoch:     params.Epoch,
		Profile:   profile,
		Bootstrap: params.Bootstrap,
		Network:   instance.network,
		Admit:     instance.network.admit,
		Voter:     instance.network.voter,
		NodeOf:    instance.network.nodeOf,
		Log:       raftLogger(h.session),
	}, func(member *raftlog.Node) { instance.member.Store(member) })
	instance.member.Store(nil)
	if failed != nil {
		h.session.logError("the raft member ended: " + failed.Error())
	}
}

func (h *raftHost) setMembers(_ context.Context, params RaftMembersParams) (any, error) {
	if err := checkRaftMembers(params.Members); err != nil {
		return nil, err
	}
	instance, err := h.current()
	if err != nil {
		return nil, err
	}
	instance.network.setMembers(params.Members)
	return empty{}, nil
}

func (h *raftHost) state(_ context.Context, _ empty) (any, error) {
	member, err := h.member()
	if err != nil {
		return nil, err
	}
	membership, err := member.Membership()
	if err != nil {
		return nil, err
	}
	state, health := member.State(), member.Health()
	result := RaftState{
		Server:           state.Server,
		Leading:          state.Leading,
		Leader:           state.Leader,
		Term:             state.Term,
		Last:             state.Last,
		Commit:           state.Commit,
		Applied:          state.Applied,
		Snapshot:         state.Snapshot,
		Configuration:    membership.Index,
		Members:          []RaftServer{},
		FsyncP99Ms:       health.FsyncP99Ms,
		FsyncSamples:     health.FsyncSamples,
		ElectionsIn10Min: health.ElectionsIn10Min,
		Refused:          []RaftRefusal{},
	}
	for _, known := range membership.Members {
		result.Members = append(result.Members, RaftServer(known))
	}
	for _, refusal := range health.Refused {
		result.Refused = append(result.Refused, RaftRefusal(refusal))
	}
	return result, nil
}

func (h *raftHost) change(_ context.Context, params RaftChangeParams) (any, error) {
	member, err := h.member()
	if err != nil {
		return nil, err
	}
	switch {
	case params.Do == "profile" && params.Server != "":
		return nil, badRequest("%.32q takes a profile and no server", params.Do)
	case params.Do != "profile" && params.Profile != "":
		return nil, badRequest("%.32q takes no profile", params.Do)
	case params.Do != "refuse" && len(params.Servers) > 0:
		return nil, badRequest("%.32q takes no servers", params.Do)
	}
	switch params.Do {
	case "transfer":
		if params.Server != "" && !serverShape.MatchString(params.Server) {
			return nil, badRequest("server must be 32 hex digits or left out, not %.64q", params.Server)
		}
		return empty{}, raftFault(member.Transfer(params.Server))
	case "profile":
		profile, err := raftlog.ProfileOf(params.Profile)
		if err != nil {
			return nil, badRequest("%v", err)
		}
		return empty{}, raftFault(member.SetProfile(profile))
	case "refuse":
		for _, server := range params.Servers {
			if !serverShape.MatchString(server) {
				return nil, badRequest("a server must be 32 hex digits, not %.64q", server)
			}
		}
		member.Refuse(params.Servers)
		return empty{}, nil
	case "add":
		return changeMembership(member, params, member.AddNonvoter)
	case "promote":
		return changeMembership(member, params, member.Promote)
	case "demote":
		return changeMembership(member, params, member.Demote)
	case "remove":
		return changeMembership(member, params, member.Remove)
	}
	return nil, badRequest("do must be add, promote, demote, remove, transfer, refuse or profile, not %.32q", params.Do)
}

// changeMembership runs one configuration change if it is based on the newest configuration.
func changeMembership(member *raftlog.Node, params RaftChangeParams, run func(string, uint64) error) (any, error) {
	if !serverShape.MatchString(params.Server) {
		return nil, badRequest("server must be 32 hex digits, not %.64q", params.Server)
	}
	if params.Previous == 0 {
		return nil, badRequest("%s needs previous: the configuration of raft-state that it is based on", params.Do)
	}
	membership, err := member.Membership()
	if err != nil {
		return nil, err
	}
	if membership.Index != params.Previous {
		return nil, changedFault(params.Previous, fmt.Sprintf("entry %d", membership.Index))
	}
	return empty{}, raftFault(run(params.Server, params.Previous))
}

func (h *raftHost) close(_ context.Context, _ empty) (any, error) {
	if !h.stop(10 * time.Second) {
		return nil, &Fault{Code: CodeTimeout, Message: "the raft member did not end in 10 s", Hint: "Restart the process."}
	}
	return empty{}, nil
}

// stop stops the member, if one is open, and waits for its end up to timeout; a leader transfers leadership meanwhile.
func (h *raftHost) stop(timeout time.Duration) bool {
	h.mu.Lock()
	instance := h.instance
	h.mu.Unlock()
	if instance == nil {
		return true
	}
	instance.cancel()
	select {
	case <-instance.done:
		return true
	case <-time.After(timeout):
		return false
	}
}

func (h *raftHost) current() (*raftInstance, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.instance == nil {
		return nil, &Fault{Code: CodeNotUp, Message: "no raft member is open", Hint: "Call raft-open first."}
	}
	return h.instance, nil
}

func (h *raftHost) member() (*raftlog.Node, error) {
	instance, err := h.current()
	if err != nil {
		return nil, err
	}
	member := instance.member.Load()
	if member == nil {
		return nil, &Fault{
			Code:    CodeNotUp,
			Message: "the raft member is waiting for its store",
			Hint:    "Connect to raft.sock and wait for its welcome.",
		}
	}
	return member, nil
}

// raftFault maps raft's errors to the channel's codes.
func raftFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader),
		errors.Is(err, raft.ErrLeadershipLost),
		errors.Is(err, raft.ErrLeadershipTransferInProgress),
		errors.Is(err, raft.ErrRaftShutdown):
		return &Fault{Code: CodeNotLeader, Message: err.Error(), Hint: "Ask the leader."}
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return &Fault{Code: CodeTimeout, Message: "raft did not accept the change in time: " + err.Error()}
	case strings.HasPrefix(err.Error(), "configuration changed since"):
		return &Fault{
			Code:    CodeChanged,
			Message: err.Error(),
			Hint:    "Read raft-state again and decide on the new configuration.",
		}
	}
	return &Fault{Code: CodeInternal, Message: err.Error()}
}

func changedFault(previous uint64, newest string) error {
	return &Fault{
		Code: CodeChanged,
		Message: fmt.Sprintf("the change is based on the configuration of entry %d, and the newest is that of %s", previous,
			newest),
		Hint: "Read raft-state again and decide on the new configuration.",
	}
}

func checkRaftOpen(params *RaftOpenParams) (raftlog.Profile, error) {
	profile, err := raftlog.ProfileOf(params.Profile)
	switch {
	case err != nil:
		return profile, badRequest("%v", err)
	case !filepath.IsAbs(params.Folder):
		return profile, badRequest("folder must be an absolute path, not %.200q", params.Folder)
	case !filepath.IsAbs(params.Socket) || len(params.Socket) > maxSocketPath:
		return profile, badRequest("socket must be an absolute path of at most %d bytes, not %.200q", maxSocketPath,
			params.Socket)
	case !fleetShape.MatchString(params.Fleet):
		return profile, badRequest("fleet must be 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', not %.80q", params.Fleet)
	case !fleetShape.MatchString(params.Epoch):
		return profile, badRequest("epoch must be 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', not %.80q", params.Epoch)
	}
	if err := checkRaftMembers(params.Members); err != nil {
		return profile, err
	}
	if err := privateFolder(params.Folder); err != nil {
		return profile, err
	}
	return profile, privateFolder(filepath.Dir(params.Socket))
}

func checkRaftMembers(members []RaftMember) error {
	if len(members) > maxRaftMembers {
		return badRequest("%d members; at most %d are possible", len(members), maxRaftMembers)
	}
	seen := map[string]bool{}
	for _, member := range members {
		switch {
		case !serverShape.MatchString(member.Server):
			return badRequest("a member's server must be 32 hex digits, not %.64q", member.Server)
		case !nodeShape.MatchString(member.Node):
			return badRequest("a member's node must be a StableNodeID, not %.80q", member.Node)
		case seen[member.Server]:
			return badRequest("server %s is listed twice in the members", member.Server)
		}
		seen[member.Server] = true
	}
	return nil
}

// listenPrivate creates a socket with mode 0600, in place of a stale one.
func listenPrivate(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, badRequest("%s exists and is not a socket", path)
		}
		_ = os.Remove(path)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, badRequest("cannot create the socket %s: %v", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, badRequest("cannot restrict the socket %s to this user: %v", path, err)
	}
	return listener, nil
}
