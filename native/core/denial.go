// Control's "no" to this device: asks control about the stored node key while no network map is streamed, tells a
// deleted device from an expired key and from a refusal, and resumes when control takes the key again.

package core

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"tailscale.com/hostinfo"
	"tailscale.com/types/key"
)

const (
	denialFirst   = 2 * time.Second // out of the map poll for this long, then control is asked
	denialLongest = 30 * time.Second
	denialTimeout = 10 * time.Second
)

// Reasons of a Denied.
const (
	deniedRemoved = "removed"
	deniedExpired = "expired"
	deniedRefused = "refused"
)

// storedKey returns the node key of the state folder, or false where the device is not enrolled or has logged out.
func storedKey(stateDir string) (key.NodePrivate, bool) {
	var none key.NodePrivate
	text, err := os.ReadFile(filepath.Join(stateDir, stateFile))
	if err != nil {
		return none, false
	}
	var entries map[string][]byte
	if json.Unmarshal(text, &entries) != nil {
		return none, false
	}
	var profile struct {
		LoggedOut bool
		Config    struct{ PrivateNodeKey key.NodePrivate }
	}
	if json.Unmarshal(entries[string(entries["_current-profile"])], &profile) != nil || profile.LoggedOut {
		return none, false
	}
	return profile.Config.PrivateNodeKey, !profile.Config.PrivateNodeKey.IsZero()
}

// enrolled reports whether the state folder holds a node key.
func enrolled(stateDir string) bool {
	_, found := storedKey(stateDir)
	return found
}

// denialLoop asks control about the stored node key for as long as the node gets no network map.
func (n *Node) denialLoop() {
	wait, due := denialFirst, time.Now().Add(denialFirst)
	for pause(n.ctx, pollInterval) {
		switch {
		case n.engine.inMapPoll():
			wait, due = denialFirst, time.Now().Add(denialFirst)
			if n.watch.receivesMap() {
				n.watch.wake(false)
			}
		case !time.Now().Before(due):
			n.askAboutKey()
			wait = longerWait(wait)
			due = time.Now().Add(wait)
		}
	}
}

// longerWait returns how long to wait for the next question after one that changed nothing.
func longerWait(wait time.Duration) time.Duration { return min(2*wait, denialLongest) }

// askAboutKey asks once and records the answer. A failure on the way there is no answer and changes nothing.
func (n *Node) askAboutKey() {
	stored, found := storedKey(n.params.StateDir)
	if !found || n.watch.loggingOut() {
		return
	}
	host := hostinfo.New()
	host.Hostname, host.RequestTags = n.params.Hostname, n.params.Tags
	ctx, cancel := context.WithTimeout(n.ctx, denialTimeout)
	defer cancel()
	denied, err := n.engine.judgeKey(ctx, stored.Public(), host)
	n.recordAnswer(ctx, denied, err, n.engine.inMapPoll())
}

// recordAnswer records what control said of the stored key. A map that arrived meanwhile is the newer answer.
func (n *Node) recordAnswer(ctx context.Context, denied *Denied, err error, inPoll bool) {
	if err != nil || inPoll {
		return
	}
	if denied != nil {
		denied.Message = n.secrets.clean(denied.Message)
	}
	if n.watch.judged(denied, time.Now()) && denied == nil && n.waitsForLogin(ctx) {
		n.log("info", "control takes the node key of this device again")
		if err := resumeWithStoredKey(ctx, n.lc); err != nil {
			n.log("warning", "cannot go on with the stored node key: "+n.secrets.clean(err.Error()))
		}
	}
	n.watch.wake(false)
}

// waitsForLogin reports whether the engine waits for a login, which keeps it from using the stored key by itself.
func (n *Node) waitsForLogin(ctx context.Context) bool {
	status, err := n.status(ctx)
	return err == nil && status.State == "NeedsLogin"
}
