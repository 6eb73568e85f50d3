// What the node watches: the IPN bus, the packet filter, key expiry and control. Changes become
// events (coalesced) and, first of all, a new judgement of every open connection.

package core

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"
)

const (
	pulse           = 250 * time.Millisecond
	minStateGap     = 100 * time.Millisecond
	controlPatience = 5 * time.Second
)

// watchState is what the watchers know; guarded by mu.
type watchState struct {
	mu          sync.Mutex
	poke        chan struct{}
	netmap      bool // something about peers or rights changed since the last pass
	control     string
	lastContact time.Time
	everReached bool
	wantsOut    bool   // logged out on purpose
	loginURL    string // last one told
	refusal     string // last words of control about our key
	told        string // last auth-failed message told
}

func (state *watchState) init(now time.Time) {
	state.poke = make(chan struct{}, 1)
	state.control = "unknown"
	state.lastContact = now
}

func (state *watchState) newLogin() {
	state.mu.Lock()
	defer state.mu.Unlock()
	state.wantsOut, state.loginURL, state.refusal, state.told = false, "", "", ""
}

func (state *watchState) loggedOut() {
	state.mu.Lock()
	defer state.mu.Unlock()
	state.wantsOut = true
}

// wake asks for a pass; netmap says that peers or rights may have changed.
func (state *watchState) wake(netmap bool) {
	state.mu.Lock()
	state.netmap = state.netmap || netmap
	state.mu.Unlock()
	select {
	case state.poke <- struct{}{}:
	default:
	}
}

func (node *Node) startWatching() {
	// Each loop starts again after a panic: a node that no longer sees revocations must not go on serving.
	forever := func(what string, loop func()) {
		node.loops.Add(1)
		goSafe(what, func(message string) { node.log("error", message) }, func() {
			defer node.loops.Done()
			for node.ctx.Err() == nil {
				func() {
					defer recoverTo(what, func(message string) { node.log("error", message) })
					loop()
				}()
				pause(node.ctx, 200*time.Millisecond)
			}
		})
	}
	forever("watching the IPN bus", func() {
		if err := watchBus(node.ctx, node.lc, node.onBus); err != nil && node.ctx.Err() == nil {
			node.log("debug", "watching the IPN bus again: "+err.Error())
		}
	})
	forever("watching the packet filter", node.pulseLoop)
	forever("telling changes", node.tellLoop)
}

func (node *Node) onBus(change busChange) {
	state := &node.watch
	if change.netmap {
		node.view.markDirty()
	}
	state.mu.Lock()
	if change.loggedIn {
		state.loginURL, state.refusal, state.told = "", "", ""
	}
	newURL := change.loginURL != "" && change.loginURL != state.loginURL
	if newURL {
		state.loginURL = change.loginURL
	}
	state.mu.Unlock()
	if newURL {
		node.emit(LoginEvent{Event: "login", URL: change.loginURL})
	}
	if change.errText != "" {
		node.onControlError(change.errText)
	}
	state.wake(change.netmap)
}

// onControlError tells a refused key once for each message and login. Control repeats itself every retry.
func (node *Node) onControlError(text string) {
	if node.engine.inMapPoll() || strings.Contains(text, "rate limited") {
		node.log("warning", "control says: "+text)
		return
	}
	state := &node.watch
	state.mu.Lock()
	state.refusal = text
	news := state.told != text
	state.told = text
	state.mu.Unlock()
	if news {
		node.emit(MessageEvent{Event: "auth-failed", Message: node.secrets.clean(text)})
	}
}

// pulseLoop looks for what nobody announces: a new packet filter, expired keys, control going away.
func (node *Node) pulseLoop() {
	filter := node.engine.packetFilter()
	for pause(node.ctx, pulse) {
		now := time.Now()
		if fresh := node.engine.packetFilter(); fresh != filter {
			filter = fresh
			node.watch.wake(true)
		}
		if node.conns.anyExpired(now) {
			node.watch.wake(true)
		}
		if node.lookAtControl(now) {
			node.watch.wake(false)
		}
	}
}

// lookAtControl decides whether control answers, and reports whether that changed.
func (node *Node) lookAtControl(now time.Time) bool {
	inPoll, failure := node.engine.inMapPoll(), node.engine.loginError()
	// Headscale answers a bad key with a plain HTTP error, which never reaches the bus.
	if status, found := strings.CutPrefix(failure, "register request: http 4"); found && !strings.HasPrefix(status, "29") {
		node.onControlError(failure)
	}
	state := &node.watch
	state.mu.Lock()
	defer state.mu.Unlock()
	answered := strings.HasPrefix(failure, "register request: http") || (failure != "" && failure == state.refusal) ||
		(failure == "" && state.loginURL != "")
	old := state.control
	switch {
	case inPoll || answered:
		state.control, state.lastContact, state.everReached = "connected", now, true
	case state.wantsOut:
		state.control, state.lastContact = "unknown", now
	case now.Sub(state.lastContact) >= controlPatience:
		state.control = "unreachable"
	case !state.everReached:
		state.control = "unknown"
	}
	return state.control != old
}

// tellLoop makes one pass for each burst of changes: connections first, then events.
func (node *Node) tellLoop() {
	var lastState []byte
	for {
		select {
		case <-node.ctx.Done():
			return
		case <-node.watch.poke:
		}
		node.watch.mu.Lock()
		netmap := node.watch.netmap
		node.watch.netmap = false
		node.watch.mu.Unlock()
		if netmap {
			node.view.markDirty()
			if snapshot, err := node.look(node.ctx, 0); err == nil {
				node.revoke(node.ctx)
				node.emit(NetmapEvent{Event: "netmap", Peers: len(snapshot.status.Peer)})
			} else if node.ctx.Err() == nil {
				node.log("warning", "cannot read the network map, trying again: "+err.Error())
				node.watch.wake(true)
			}
		}
		node.lookAtControl(time.Now())
		if status, err := node.status(node.ctx); err == nil {
			if text, err := json.Marshal(status); err == nil && !bytes.Equal(text, lastState) {
				lastState = text
				node.emit(StateEvent{Event: "state", Status: *status})
			}
		}
		pause(node.ctx, minStateGap)
	}
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
