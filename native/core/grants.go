// Stores capability objects by digest: a caller header carries 32 hex digits instead of possibly hundreds of grants.

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

// add stores the objects and returns their digest, empty when there are none. The objects are sorted first, since the
// order in which control sends them has no meaning.
func (g *grantStore) add(values []tailcfg.RawMessage) string {
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
	g.mu.Lock()
	defer g.mu.Unlock()
	if element, known := g.byHash[hash]; known {
		g.order.MoveToFront(element)
		return hash
	}
	g.byHash[hash] = g.order.PushFront(&grantList{hash, objects})
	for g.order.Len() > maxGrantLists {
		oldest := g.order.Remove(g.order.Back()).(*grantList)
		delete(g.byHash, oldest.hash)
	}
	return hash
}

func (g *grantStore) lookUp(hash string) ([]json.RawMessage, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	element, known := g.byHash[hash]
	if !known {
		return nil, false
	}
	g.order.MoveToFront(element)
	return element.Value.(*grantList).objects, true
}
