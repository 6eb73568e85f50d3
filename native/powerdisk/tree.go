// Package powerdisk is a file system in memory that can lose its power: it then has what was synced and nothing else,
// or some of the rest. For tests; never shipped. This file has the names; content.go has the bytes, disk_linux.go and
// requests_linux.go are how the kernel reaches both.
//
// fsync of a file makes its bytes and its size durable, not its name. A name, new, changed or removed, is durable once
// the folder it is in was synced; a rename between two folders is one change, durable with either of them. That is what
// POSIX promises. ext4, XFS and btrfs promise more (the name of a new file that was synced), which code that is to run
// on other systems cannot rely on. Modes, owners and times are durable at once: nothing here depends on them.
package powerdisk

import (
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

const rootID = 1

// node is a file, a folder, a symbolic link or a socket.
type node struct {
	id       uint64
	mode     uint32
	uid, gid uint32
	modified time.Time
	links    uint32
	content  content
	// target is what a symbolic link names.
	target string
	// names and durable are of a folder: as it is read, and as it is on the disk.
	names, durable map[string]*node
	// known counts what the kernel remembers of it.
	known uint64
}

func (n *node) isFolder() bool { return n.mode&syscall.S_IFMT == syscall.S_IFDIR }

// naming is one name that a change gives to a node, or takes away where the node is nil.
type naming struct {
	folder *node
	name   string
	node   *node
}

// tree is the state of a disk. Its methods are called under the lock of Disk.
type tree struct {
	root  *node
	nodes map[uint64]*node
	last  uint64
	// pending are the changes of names that are not durable, in their order.
	pending [][]naming
}

func newTree() *tree {
	t := &tree{nodes: map[uint64]*node{}}
	t.root = t.newNode(syscall.S_IFDIR | 0o700)
	t.root.links = 1
	return t
}

func (t *tree) newNode(mode uint32) *node {
	t.last++
	made := &node{id: t.last, mode: mode, modified: time.Now(), content: newContent()}
	if made.isFolder() {
		made.names, made.durable = map[string]*node{}, map[string]*node{}
	}
	t.nodes[made.id] = made
	return made
}

// change does a change of names as readers see it.
func (t *tree) change(namings ...naming) {
	for _, each := range namings {
		if before := each.folder.names[each.name]; before != nil {
			t.unlinked(before)
		}
		if each.node == nil {
			delete(each.folder.names, each.name)
		} else {
			each.folder.names[each.name] = each.node
			each.node.links++
		}
		each.folder.modified = time.Now()
	}
	t.pending = append(t.pending, namings)
}

func (t *tree) unlinked(node *node) {
	node.links--
	t.forgotten(node, 0)
}

// forgotten drops a node that has no name and that the kernel does not remember.
func (t *tree) forgotten(node *node, times uint64) {
	node.known -= min(times, node.known)
	if node.links == 0 && node.known == 0 {
		delete(t.nodes, node.id)
	}
}

// syncFolder makes the names of a folder durable, and with them each earlier change that one of them depends on.
func (t *tree) syncFolder(folder *node) {
	touched := map[*node]bool{folder: true}
	var rest, synced [][]naming
	for _, change := range slices.Backward(t.pending) {
		if slices.ContainsFunc(change, func(each naming) bool { return touched[each.folder] }) {
			for _, each := range change {
				touched[each.folder] = true
			}
			synced = append(synced, change)
		} else {
			rest = append(rest, change)
		}
	}
	slices.Reverse(synced)
	slices.Reverse(rest)
	t.keep(synced)
	t.pending = rest
}

// keep makes changes durable.
func (t *tree) keep(changes [][]naming) {
	for _, each := range slices.Concat(changes...) {
		if each.node == nil {
			delete(each.folder.durable, each.name)
		} else {
			each.folder.durable[each.name] = each.node
		}
	}
}

// syncAll makes everything durable.
func (t *tree) syncAll() {
	for _, each := range t.nodes {
		each.content.sync()
	}
	t.keep(t.pending)
	t.pending = nil
}

// Lost counts what was not durable when the power went.
type Lost struct {
	Names int `json:"names"`
	Files int `json:"files"`
	Pages int `json:"pages"`
}

func (t *tree) unsynced() Lost {
	lost := Lost{Names: len(t.pending)}
	for _, each := range t.nodes {
		if len(each.content.drafts) > 0 || len(each.content.draftSizes) > 0 {
			lost.Files++
			lost.Pages += len(each.content.drafts)
		}
	}
	return lost
}

// after returns the tree as it is once the power is back. With chance, a disk that was writing: of the pages any part
// is there, and of the names the first few changes, since a journal keeps their order.
func (t *tree) after(chance *rand.Rand) *tree {
	if chance != nil {
		t.keep(t.pending[:chance.IntN(len(t.pending)+1)])
	}
	left := newTree()
	copies := map[*node]*node{t.root: left.root}
	left.copyNames(t.root, copies, chance)
	return left
}

func (t *tree) copyNames(from *node, copies map[*node]*node, chance *rand.Rand) {
	to := copies[from]
	for _, name := range slices.Sorted(maps.Keys(from.durable)) {
		old := from.durable[name]
		found := copies[old]
		if found == nil {
			found = t.newNode(old.mode)
			found.uid, found.gid, found.modified, found.target = old.uid, old.gid, old.modified, old.target
			found.content = old.content.after(chance)
			copies[old] = found
			if old.isFolder() {
				t.copyNames(old, copies, chance)
			}
		}
		to.names[name], to.durable[name] = found, found
		found.links++
	}
}
