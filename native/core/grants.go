// Capability objects by digest: callers carry 32 hex digits instead of the objects, so that
// two hundred grants do not travel in a header of every request.

package core

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"sync"

	"tailscale.com/tailcfg"
)

const maxGrantLists = 512

type grantStore struct {
	mu     sync.Mutex
	byHash map[string]*list.Element
	order  *list.List // most recently used first
}

type grantList struct {
	hash    string
	objects []json.RawMessage
}

func newGrantStore() *grantStore {
	return &grantStore{byHash: map[string]*list.Element{}, order: list.New()}
}

// keep stores the objects and answers their digest, empty when there are none.
// The order in which control sends them carries no meaning, so they are sorted.
func (store *grantStore) keep(values []tailcfg.RawMessage) string {
	if len(values) == 0 {
		return ""
	}
	texts := make([]string, len(values))
	for index, value := range values {
		texts[index] = string(value)
	}
	slices.Sort(texts)
	digest := sha256.New()
	objects := make([]json.RawMessage, len(texts))
	for index, text := range texts {
		objects[index] = json.RawMessage(text)
		digest.Write([]byte(text))
		digest.Write([]byte{0})
	}
	hash := hex.EncodeToString(digest.Sum(nil)[:16])
	store.mu.Lock()
	defer store.mu.Unlock()
	if element, known := store.byHash[hash]; known {
		store.order.MoveToFront(element)
		return hash
	}
	store.byHash[hash] = store.order.PushFront(&grantList{hash, objects})
	for store.order.Len() > maxGrantLists {
		oldest := store.order.Remove(store.order.Back()).(*grantList)
		delete(store.byHash, oldest.hash)
	}
	return hash
}

func (store *grantStore) lookUp(hash string) ([]json.RawMessage, bool) {
	store.mu.Lock()
	defer store.mu.Unlock()
	element, known := store.byHash[hash]
	if !known {
		return nil, false
	}
	store.order.MoveToFront(element)
	return element.Value.(*grantList).objects, true
}
