// Watches the IPN bus, the packet filter, key expiry and control. On a change every open connection is checked again
// first; then events are sent, coalesced.

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
	pollInterval   = 250 * time.Millisecond
	minStateGap    = 100 * time.Millisecond
	controlTimeout = 5 * time.Second
)

// watchState is the watchers' shared state, guarded by mu.
type watchState struct {
	mu              sync.Mutex
	wakeup          chan struct{}
	netmap          bool // peers or rights changed since the last pass
	control         string
	lastContact     time.Time
	reachedOnce     bool
	logoutRequested bool   // a logout was requested
	loginURL        string // last one sent
	refusal         string // control's last error about our key
	lastAuthFailed  string // message of the last auth-failed event
	denied          *Denied
	answeredAt      time.Time // when control last answered about the stored node key
	renewing        bool      // a login was asked for while control still took the key
}

func (w *watchState) init(now time.Time) {
	w.wakeup = make(chan struct{}, 1)
	w.control = "unknown"
	w.lastContact = now
}

func (w *watchState) newLogin(renewing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.renewing = renewing
	w.logoutRequested, w.loginURL, w.refusal, w.lastAuthFailed = false, "", "", ""
}

func (w *watchState) loggedOut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logoutRequested = true
}

func (w *watchState) loggingOut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logoutRequested
}

// receivesMap records that control streams the network map. It reports whether control had denied it.
func (w *watchState) receivesMap() (wasDenied bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wasDenied = w.denied != nil
	w.denied, w.renewing = nil, false
	return wasDenied
}

// judged records control's answer about the stored node key, nil where control takes it. It reports whether a login
// that waits may be given up for that key: not one that was asked for while control took it.
func (w *watchState) judged(denied *Denied, now time.Time) (mayResume bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.denied, w.answeredAt = denied, now
	return !w.renewing
}

// wake requests a pass; netmap says that peers or rights may have changed.
func (w *watchState) wake(netmap bool) {
	w.mu.Lock()
	w.netmap = w.netmap || netmap
	w.mu.Unlock()
	select {
	case w.wakeup <- struct{}{}:
	default:
	}
}

func (n *Node) startWatching() {
	// Each loop restarts after a panic: a node that no longer sees revocations must not keep serving.
	runLoop := func(what string, loop func()) {
		n.loops.Add(1)
		goSafe(what, func(message string) { n.log("error", message) }, func() {
			defer n.loops.Done()
			for n.ctx.Err() == nil {
				func() {
					defer recoverTo(what, func(message string) { n.log("error", message) })
					loop()
				}()
				pause(n.ctx, 200*time.Millisecond)
			}
		})
	}
	runLoop("watching the IPN bus", func() {
		if err := watchBus(n.ctx, n.lc, n.onBus); err != nil && n.ctx.Err() == nil {
			n.log("debug", "restarting the watch of the IPN bus: "+err.Error())
		}
	})
	runLoop("watching the packet filter", n.pollLoop)
	runLoop("asking about the node key", n.denialLoop)
	runLoop("reporting changes", n.notifyLoop)
}

func (n *Node) onBus(change busChange) {
	state := &n.watch
	if change.netmap {
		n.view.markDirty()
	}
	state.mu.Lock()
	if change.loggedIn {
		state.loginURL, state.refusal, state.lastAuthFailed = "", "", ""
	}
	newURL := change.loginURL != "" && change.loginURL != state.loginURL
	if newURL {
		state.loginURL = change.loginURL
	}
	state.mu.Unlock()
	if newURL {
		n.emit(LoginEvent{Event: "login", URL: change.loginURL})
	}
	if change.errText != "" {
		n.onControlError(change.errText)
	}
	state.wake(change.netmap)
}

// onControlError reports a refused key once per message and login; control repeats the error on every retry.
func (n *Node) onControlError(text string) {
	if !isAboutKey(text, n.engine.inMapPoll()) {
		n.log("warning", "error from control: "+text)
		return
	}
	state := &n.watch
	state.mu.Lock()
	state.refusal = text
	isNew := state.lastAuthFailed != text
	state.lastAuthFailed = text
	state.mu.Unlock()
	if isNew {
		n.emit(MessageEvent{Event: "auth-failed", Message: n.secrets.clean(text)})
	}
}

// isAboutKey reports whether an error from control may be about our key: not while it streams the network map to us,
// and not that it was asked too often.
func isAboutKey(text string, inPoll bool) bool {
	return !inPoll && !strings.Contains(text, "rate limited")
}

// pollLoop polls for changes without a notification: a new packet filter, expired keys, unreachable control.
func (n *Node) pollLoop() {
	filter := n.engine.packetFilter()
	for pause(n.ctx, pollInterval) {
		now := time.Now()
		if fresh := n.engine.packetFilter(); fresh != filter {
			filter = fresh
			n.watch.wake(true)
		}
		if n.conns.anyExpired(now) {
			n.watch.wake(true)
		}
		if n.updateControl(now) {
			n.watch.wake(false)
		}
	}
}

// updateControl updates whether control is reachable and reports whether that changed.
func (n *Node) updateControl(now time.Time) bool {
	inPoll, failure := n.engine.inMapPoll(), n.engine.loginError()
	if refusesKey(failure) {
		n.onControlError(failure)
	}
	return n.watch.contact(now, inPoll, failure)
}

// refusesKey reports whether an error of a login is a refusal. Headscale refuses a bad key with a plain HTTP error,
// which never reaches the bus; 429 asks to wait.
func refusesKey(failure string) bool {
	status, found := strings.CutPrefix(failure, "register request: http 4")
	return found && !strings.HasPrefix(status, "29")
}

// contact judges whether control is reachable, by the network map and the last error of a login, and reports whether
// that changed.
func (w *watchState) contact(now time.Time, inPoll bool, failure string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	answered := strings.HasPrefix(failure, "register request: http") || (failure != "" && failure == w.refusal) ||
		(failure == "" && w.loginURL != "") || now.Sub(w.answeredAt) < denialLongest+denialTimeout
	old := w.control
	switch {
	case inPoll || answered:
		w.control, w.lastContact, w.reachedOnce = "connected", now, true
	case w.logoutRequested:
		w.control, w.lastContact = "unknown", now
	case now.Sub(w.lastContact) >= controlTimeout:
		w.control = "unreachable"
	case !w.reachedOnce:
		w.control = "unknown"
	}
	return w.control != old
}

// notifyLoop makes one pass for each burst of changes: connections first, then events.
func (n *Node) notifyLoop() {
	var lastState []byte
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.watch.wakeup:
		}
		n.watch.mu.Lock()
		netmap := n.watch.netmap
		n.watch.netmap = false
		n.watch.mu.Unlock()
		if netmap {
			n.recheckRights()
		}
		n.updateControl(time.Now())
		if status, err := n.status(n.ctx); err == nil {
			if text, err := json.Marshal(status); err == nil && !bytes.Equal(text, lastState) {
				lastState = text
				n.emit(StateEvent{Event: "state", Status: *status})
			}
		}
		pause(n.ctx, minStateGap)
	}
}

// recheckRights checks what is open against the newest network map, and asks for another pass where it cannot be read.
func (n *Node) recheckRights() {
	n.view.markDirty()
	snapshot, err := n.look(n.ctx, 0)
	if err == nil {
		n.revoke(n.ctx)
		n.emit(NetmapEvent{Event: "netmap", Peers: len(snapshot.status.Peer)})
	} else if n.ctx.Err() == nil {
		n.log("warning", "cannot read the network map, retrying: "+err.Error())
		n.watch.wake(true)
	}
}

// pause waits and reports false if ctx ended first.
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
