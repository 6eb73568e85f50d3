// Tests of what the watchers conclude: whether control is reachable, what a login URL and a refusal mean.

package core

import (
	"context"
	"slices"
	"testing"
	"time"

	"tailscale.com/ipn/ipnstate"
)

func TestWhetherControlIsReachable(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const refused, unheard = "register request: http 401: bad key", "dial tcp: timeout"
	for _, row := range []struct {
		name    string
		before  func(*watchState)
		after   time.Duration
		inPoll  bool
		failure string
		want    string
	}{
		{"just started", nil, 0, false, "", "unknown"},
		{"not yet late", nil, controlTimeout - 1, false, unheard, "unknown"},
		{"late", nil, controlTimeout, false, unheard, "unreachable"},
		{"a network map", nil, time.Hour, true, unheard, "connected"},
		{"an HTTP error of control", nil, time.Hour, false, refused, "connected"},
		{"the error it refused the key with", func(w *watchState) { w.refusal = "invalid key" }, time.Hour, false, "invalid key", "connected"},
		{"another error", func(w *watchState) { w.refusal = "invalid key" }, time.Hour, false, unheard, "unreachable"},
		{"no error and no refusal", nil, time.Hour, false, "", "unreachable"},
		{"it gave a login URL", func(w *watchState) { w.loginURL = "https://login" }, time.Hour, false, "", "connected"},
		{"a login URL, and it fails now", func(w *watchState) { w.loginURL = "https://login" }, time.Hour, false, unheard, "unreachable"},
		{"it answered about the key", func(w *watchState) { w.answeredAt = start.Add(time.Hour) }, time.Hour + denialLongest + denialTimeout - 1, false, unheard, "connected"},
		{"it answered long ago", func(w *watchState) { w.answeredAt = start.Add(time.Hour) }, time.Hour + denialLongest + denialTimeout, false, unheard, "unreachable"},
		{"we asked to log out", (*watchState).loggedOut, time.Hour, false, "", "unknown"},
	} {
		w := &watchState{}
		w.init(start)
		if row.before != nil {
			row.before(w)
		}
		changed := w.contact(start.Add(row.after), row.inPoll, row.failure)
		if w.control != row.want || changed != (row.want != "unknown") {
			t.Errorf("%s: %s, changed: %v", row.name, w.control, changed)
		}
	}
	// What was reached is not unknown again, and is unreachable once it is late.
	w := &watchState{}
	w.init(start)
	w.contact(start.Add(time.Hour), true, "")
	for after, want := range map[time.Duration]string{0: "connected", controlTimeout - 1: "connected", controlTimeout: "unreachable"} {
		w.control = "connected"
		if w.contact(start.Add(time.Hour+after), false, unheard); w.control != want {
			t.Errorf("%v after a network map: %s", after, w.control)
		}
	}
	for failure, want := range map[string]bool{refused: true, "register request: http 404": true,
		"register request: http 429: slow down": false, "register request: http 500": false, unheard: false, "": false} {
		if refusesKey(failure) != want {
			t.Errorf("%q refuses the key: %v", failure, !want)
		}
	}
}

func TestErrorsThatAreNotAboutTheKey(t *testing.T) {
	for _, row := range []struct {
		text   string
		inPoll bool
		want   bool
	}{{"invalid key", false, true}, {"invalid key", true, false}, {"rate limited", false, false}, {"rate limited", true, false}} {
		if got := isAboutKey(row.text, row.inPoll); got != row.want {
			t.Errorf("%q with a network map %v: %v", row.text, row.inPoll, got)
		}
	}
}

func TestLoginsAndDenials(t *testing.T) {
	w := &watchState{}
	w.init(time.Now())
	if !w.judged(&Denied{Reason: deniedExpired}, time.Now()) || w.denied == nil {
		t.Error("a login that waits because the key ended is kept")
	}
	if !w.receivesMap() || w.denied != nil || w.receivesMap() {
		t.Error("a network map does not end a denial once")
	}
	w.newLogin(true)
	if w.judged(nil, time.Now()) {
		t.Error("a login that renews a key is given up for the old one")
	}
	if w.receivesMap(); !w.judged(nil, time.Now()) {
		t.Error("a login is renewing after the network map came")
	}
	if w.loggingOut() {
		t.Error("a logout without a request")
	}
	if w.loggedOut(); !w.loggingOut() {
		t.Error("a logout is not seen")
	}
	if w.newLogin(false); w.loggingOut() {
		t.Error("a logout outlives the next login")
	}
	for wait, want := range map[time.Duration]time.Duration{denialFirst: 2 * denialFirst, denialLongest / 2: denialLongest,
		denialLongest/2 + 1: denialLongest, denialLongest: denialLongest} {
		if got := longerWait(wait); got != want {
			t.Errorf("after %v the next question waits for %v", wait, got)
		}
	}
}

func TestEachLoginURLIsToldOnce(t *testing.T) {
	_, node := startFakeEngine(t)
	node.watch.init(time.Now())
	var told []string
	node.emit = func(event any) {
		if login, ok := event.(LoginEvent); ok {
			told = append(told, login.URL)
		}
	}
	expect := func(what string, change busChange, urls ...string) {
		t.Helper()
		told = nil
		if node.onBus(change); !slices.Equal(told, urls) {
			t.Errorf("%s: told %q", what, told)
		}
	}
	expect("no URL", busChange{})
	expect("a URL", busChange{loginURL: "a"}, "a")
	expect("the same", busChange{loginURL: "a"})
	expect("another", busChange{loginURL: "b"}, "b")
	expect("none", busChange{})
	expect("the same again", busChange{loginURL: "b"})
	expect("after a login", busChange{loggedIn: true, loginURL: "b"}, "b")
	if node.watch.netmap || node.view.dirty {
		t.Error("a login counts as a change of the network map")
	}
	expect("a network map", busChange{netmap: true})
	if !node.watch.netmap || !node.view.dirty {
		t.Error("a changed network map is not looked at")
	}
	if expect("nothing more", busChange{}); !node.watch.netmap {
		t.Error("a change is forgotten before it is looked at")
	}
}

func TestRightsAreCheckedAgainUntilTheMapIsRead(t *testing.T) {
	engine, node := startFakePeers(t, &ipnstate.PeerStatus{ID: "a"}, &ipnstate.PeerStatus{ID: "b"})
	node.watch.init(time.Now())
	told := 0
	node.emit = func(event any) {
		if netmap, ok := event.(NetmapEvent); ok && netmap.Peers == 2 {
			told++
		}
	}
	asksAgain := func() bool {
		defer func() { node.watch.netmap = false }()
		select {
		case <-node.watch.wakeup:
			return node.watch.netmap
		default:
			return false
		}
	}
	engine.broken = true
	if node.recheckRights(); told != 0 || !asksAgain() {
		t.Errorf("without a network map: told %d times", told)
	}
	engine.broken = false
	if node.recheckRights(); told != 1 || asksAgain() {
		t.Errorf("with a network map: told %d times", told)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	node.ctx = ended
	if node.recheckRights(); told != 1 || asksAgain() {
		t.Errorf("at the end of the node: told %d times", told)
	}
}
