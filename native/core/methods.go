// The table of the channel's methods. Checks parameters here; Node implements the methods.

package core

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

type empty struct{}

type method func(ctx context.Context, current *session, params json.RawMessage) (any, error)

// methods is filled at start and only read afterwards; test builds add `panic` (hooks_cairntest.go).
var methods = map[string]method{
	"up": func(ctx context.Context, s *session, raw json.RawMessage) (any, error) {
		var params UpParams
		if err := decodeParams(raw, &params); err != nil {
			return nil, err
		}
		if err := checkUpParams(&params); err != nil {
			return nil, err
		}
		return empty{}, s.up(ctx, params)
	},
	"login": onNode(func(ctx context.Context, node *Node, params LoginParams) (any, error) {
		return empty{}, node.login(ctx, params.AuthKey)
	}),
	"logout": onNode(func(ctx context.Context, node *Node, _ empty) (any, error) {
		return empty{}, node.logout(ctx)
	}),
	"status": onNode(func(ctx context.Context, node *Node, _ empty) (any, error) {
		return node.status(ctx)
	}),
	"peers": onNode(func(ctx context.Context, node *Node, _ empty) (any, error) {
		return node.peers(ctx)
	}),
	"whois": onNode(func(ctx context.Context, node *Node, params WhoIsParams) (any, error) {
		addr, err := parseAddr(params.Addr)
		if err != nil {
			return nil, err
		}
		return node.whoIs(ctx, addr)
	}),
	"caller": onNode(func(ctx context.Context, node *Node, params CallerParams) (any, error) {
		return node.callerOf(ctx, params.ID)
	}),
	"raft-open":    onRaft((*raftHost).open),
	"raft-members": onRaft((*raftHost).setMembers),
	"raft-state":   onRaft((*raftHost).state),
	"raft-change":  onRaft((*raftHost).change),
	"raft-close":   onRaft((*raftHost).close),
	"grants": onNode(func(_ context.Context, node *Node, params GrantsParams) (any, error) {
		list, known := node.grants.lookUp(params.Hash)
		if !known {
			return nil, &Fault{Code: CodeNotFound, Message: fmt.Sprintf("no list of grants has the hash %.64q", params.Hash),
				Hint: "Grants change with the tailnet policy; ask whois for the caller again."}
		}
		return GrantsResult{Grants: list}, nil
	}),
	"listen": onNode(func(_ context.Context, node *Node, params ListenParams) (any, error) {
		if params.Port < 1 || params.Port > 65535 {
			return nil, badRequest("port must be 1 to 65535, not %d", params.Port)
		}
		if params.Target != "" && !filepath.IsAbs(params.Target) {
			return nil, badRequest("target must be the absolute path of a unix socket, not %.120q", params.Target)
		}
		if (params.Target != "") != (params.MaxBodyBytes > 0) {
			return nil, badRequest("a target of its own needs maxBodyBytes, and no other listener takes it")
		}
		return empty{}, node.listen(params)
	}),
	"ping": onNode(func(ctx context.Context, node *Node, params PingParams) (any, error) {
		addr, err := netip.ParseAddr(params.IP)
		if err != nil {
			return nil, badRequest("ip must be an address, not %.64q", params.IP)
		}
		if params.TimeoutMs < 1 || params.TimeoutMs > 25_000 {
			return nil, badRequest("timeoutMs must be 1 to 25000, not %d", params.TimeoutMs)
		}
		return node.ping(ctx, addr, time.Duration(params.TimeoutMs)*time.Millisecond)
	}),
	"cert": onNode(func(ctx context.Context, node *Node, _ empty) (any, error) {
		status, err := node.status(ctx)
		if err != nil {
			return nil, err
		}
		return CertResult{HTTPS: status.HTTPS, Domains: status.Domains}, nil
	}),
	"serve-config": onNode(func(ctx context.Context, node *Node, _ empty) (any, error) {
		return node.serveConfig(ctx)
	}),
	"drop": onNode(func(_ context.Context, node *Node, params DropParams) (any, error) {
		return DropResult{Closed: node.conns.drop(params.Callers)}, nil
	}),
	"notify": func(ctx context.Context, _ *session, raw json.RawMessage) (any, error) {
		var params NotifyParams
		if err := decodeParams(raw, &params); err != nil {
			return nil, err
		}
		return empty{}, notify(ctx, params)
	},
	"close": func(_ context.Context, s *session, raw json.RawMessage) (any, error) {
		if err := decodeParams(raw, &empty{}); err != nil {
			return nil, err
		}
		s.shutdown()
		return empty{}, nil
	},
}

// onNode wraps a method that needs a running node.
func onNode[Params any](run func(context.Context, *Node, Params) (any, error)) method {
	return func(ctx context.Context, s *session, raw json.RawMessage) (any, error) {
		var params Params
		if err := decodeParams(raw, &params); err != nil {
			return nil, err
		}
		s.mu.Lock()
		node := s.node
		s.mu.Unlock()
		if node == nil {
			return nil, &Fault{Code: CodeNotUp, Message: "the node is not up", Hint: "Call up first, and wait for its reply."}
		}
		return run(ctx, node, params)
	}
}

// onRaft wraps a method of the raft member, which needs no node.
func onRaft[Params any](run func(*raftHost, context.Context, Params) (any, error)) method {
	return func(ctx context.Context, s *session, raw json.RawMessage) (any, error) {
		var params Params
		if err := decodeParams(raw, &params); err != nil {
			return nil, err
		}
		return run(s.raft, ctx, params)
	}
}

// up starts the node. The start of the engine cannot be interrupted: after the deadline it continues in the background,
// and the node is closed as soon as it has started.
func (s *session) up(ctx context.Context, params UpParams) error {
	s.mu.Lock()
	if s.node != nil || s.starting {
		s.mu.Unlock()
		return &Fault{Code: CodeAlreadyUp, Message: "the node is up already", Hint: "Call close first."}
	}
	s.starting = true
	s.mu.Unlock()
	type outcome struct {
		node *Node
		err  error
	}
	started := make(chan outcome, 1)
	goSafe("starting the node", func(message string) {
		s.logError(message)
		started <- outcome{err: &Fault{Code: CodeInternal, Message: "starting the node panicked; the log has the stack"}}
	}, func() {
		node, err := startNode(params, s.options, s.out.send)
		started <- outcome{node, err}
	})
	finish := func(result outcome) error {
		s.mu.Lock()
		s.starting = false
		gone := result.err == nil && s.ctx.Err() != nil
		if result.err == nil && !gone {
			s.node = result.node
			s.signalNodeUp()
		}
		s.mu.Unlock()
		if gone {
			result.node.close()
			return context.Canceled
		}
		return result.err
	}
	select {
	case result := <-started:
		return finish(result)
	case <-ctx.Done():
		goSafe("closing a late node", s.logError, func() {
			result := <-started
			if result.node != nil {
				result.node.close()
			}
			s.mu.Lock()
			s.starting = false
			s.mu.Unlock()
		})
		return ctx.Err()
	}
}

// signalNodeUp wakes the callers of awaitNode. The caller holds mu.
func (s *session) signalNodeUp() {
	close(s.nodeUp)
	s.nodeUp = make(chan struct{})
}

// awaitNode returns the node once it is up.
func (s *session) awaitNode(ctx context.Context) (*Node, error) {
	for {
		s.mu.Lock()
		node, nodeUp := s.node, s.nodeUp
		s.mu.Unlock()
		if node != nil {
			return node, nil
		}
		select {
		case <-nodeUp:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// shutdown closes the raft member, which needs the node to transfer leadership, then the node. It returns within
// raftCloseDeadline plus closeDeadline.
func (s *session) shutdown() {
	s.raft.stop(raftCloseDeadline)
	s.mu.Lock()
	node := s.node
	s.node = nil
	s.mu.Unlock()
	if node != nil {
		node.close()
	}
}

func decodeParams(raw json.RawMessage, into any) error {
	if len(raw) == 0 || string(raw) == "null" {
		raw = json.RawMessage("{}")
	}
	if err := decodeStrict(raw, into); err != nil {
		return badRequest("params: %v", err)
	}
	return nil
}

func badRequest(format string, values ...any) *Fault {
	return &Fault{Code: CodeBadRequest, Message: fmt.Sprintf(format, values...)}
}

func parseAddr(text string) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr.Unmap(), nil
	}
	if pair, err := netip.ParseAddrPort(text); err == nil {
		return pair.Addr().Unmap(), nil
	}
	return netip.Addr{}, badRequest("addr must be an ip or ip:port, not %.64q", text)
}

var (
	hostnameShape   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	tagShape        = regexp.MustCompile(`^tag:[A-Za-z][A-Za-z0-9-]*$`)
	secretShape     = regexp.MustCompile(`^[0-9a-f]{64}$`)
	capabilityShape = regexp.MustCompile(`^[a-z0-9.-]+\.[a-z0-9-]+(/[A-Za-z0-9._-]+)+$`)
)

// checkUpParams refuses parameters that would start a node other than the intended one.
func checkUpParams(params *UpParams) error {
	if err := checkUpFields(params); err != nil {
		return err
	}
	if err := checkUpLists(params); err != nil {
		return err
	}
	if err := privateFolder(params.StateDir); err != nil {
		return err
	}
	return privateFolder(params.SocketDir)
}

func checkUpFields(params *UpParams) error {
	switch {
	case !filepath.IsAbs(params.StateDir):
		return badRequest("stateDir must be an absolute path, not %q", params.StateDir)
	case !filepath.IsAbs(params.SocketDir):
		return badRequest("socketDir must be an absolute path, not %q", params.SocketDir)
	case !filepath.IsAbs(params.Target):
		return badRequest("target must be the absolute path of a unix socket, not %q", params.Target)
	case !hostnameShape.MatchString(params.Hostname):
		return badRequest("hostname must be 1 to 63 of a-z, 0-9 and '-', not %.80q", params.Hostname)
	case !capabilityShape.MatchString(params.Capability):
		return badRequest("capability must look like example.com/cap/name, not %.80q", params.Capability)
	case !secretShape.MatchString(params.IngressSecret) || !secretShape.MatchString(params.EgressSecret):
		return badRequest("ingressSecret and egressSecret must each be 64 hex digits")
	case params.Shared != "none" && params.Shared != "grants":
		return badRequest(`shared must be "none" or "grants", not %.32q`, params.Shared)
	case params.MaxBodyBytes < 1:
		return badRequest("maxBodyBytes must be at least 1, not %d", params.MaxBodyBytes)
	case params.ControlURL != "" && !isHTTPURL(params.ControlURL):
		return badRequest("controlUrl must be an http or https URL, not %q", params.ControlURL)
	}
	return nil
}

func isHTTPURL(text string) bool {
	return strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://")
}

func checkUpLists(params *UpParams) error {
	oauth := params.ClientSecret != "" || strings.HasPrefix(params.AuthKey, clientSecretPrefix)
	if oauth && len(params.Tags) == 0 {
		return &Fault{Code: CodeBadRequest,
			Message: "clientSecret without tags: nodes that log in by an OAuth client must be tagged",
			Hint:    "Give at least one tag that the OAuth client may assign."}
	}
	for _, tag := range params.Tags {
		if !tagShape.MatchString(tag) {
			return badRequest("a tag must look like tag:name, not %.80q", tag)
		}
	}
	for _, origin := range params.AllowedOrigins {
		if _, err := parseOrigin(origin); err != nil {
			return badRequest("allowedOrigins: %v", err)
		}
	}
	for _, host := range params.AllowedHosts {
		if _, _, err := splitHost(host); err != nil {
			return badRequest("allowedHosts: %v", err)
		}
	}
	return nil
}

// privateFolder creates the folder with mode 0700, or refuses an existing one that others can enter.
func privateFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return badRequest("cannot create the folder %s: %v", path, err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return badRequest("cannot read the mode of the folder %s: %v", path, err)
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return &Fault{
			Code:    CodeBadRequest,
			Message: fmt.Sprintf("the folder %s has mode %v; it must be a folder with mode 0700", path, info.Mode()),
			Hint:    "chmod 700 " + path,
		}
	}
	return nil
}
