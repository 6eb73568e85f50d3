// Removes keys and secrets from every line and message that leaves the Go half.

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

// redactor replaces known secrets and everything that looks like a key.
type redactor struct {
	mu    sync.RWMutex
	known []string
}

// add registers secrets; beyond maxKnownSecrets the oldest are dropped.
func (r *redactor) add(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range secrets {
		if len(secret) >= 4 {
			r.known = append(r.known, secret)
		}
	}
	if extra := len(r.known) - maxKnownSecrets; extra > 0 {
		r.known = r.known[extra:]
	}
}

func (r *redactor) clean(text string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, secret := range r.known {
		text = strings.ReplaceAll(text, secret, redacted)
	}
	return keyShape.ReplaceAllString(text, redacted)
}
