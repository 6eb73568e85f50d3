// What may be logged: keys and secrets never. Every line and message that leaves goes through here.

package core

import (
	"regexp"
	"strings"
	"sync"
)

var keyShape = regexp.MustCompile(`(tskey-|hskey-)[A-Za-z0-9_-]+|(privkey|nodekey-priv|nlpriv):[0-9a-f]+`)

const (
	redacted        = "(redacted)"
	maxKnownSecrets = 64
)

// redactor replaces known secrets and whatever looks like a key.
type redactor struct {
	mu    sync.RWMutex
	known []string
}

// add makes secrets known; the oldest beyond maxKnownSecrets are forgotten.
func (guard *redactor) add(secrets ...string) {
	guard.mu.Lock()
	defer guard.mu.Unlock()
	for _, secret := range secrets {
		if len(secret) >= 4 {
			guard.known = append(guard.known, secret)
		}
	}
	if extra := len(guard.known) - maxKnownSecrets; extra > 0 {
		guard.known = guard.known[extra:]
	}
}

func (guard *redactor) clean(text string) string {
	guard.mu.RLock()
	defer guard.mu.RUnlock()
	for _, secret := range guard.known {
		text = strings.ReplaceAll(text, secret, redacted)
	}
	return keyShape.ReplaceAllString(text, redacted)
}
