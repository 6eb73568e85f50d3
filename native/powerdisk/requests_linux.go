// What the kernel asks of a disk, name by name and page by page. Locks and shared memory maps are the kernel's own.

package powerdisk

import (
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	// cachedFor is how long the kernel trusts what it knows: only requests through it change anything.
	cachedFor = time.Hour
	diskBytes = 64 << 30
	// Flags of rename.
	noReplace, exchange = 1, 2
)

// with runs a request on a node under the lock.
func (s *serving) with(id uint64, run func(*node) fuse.Status) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDead {
		return fuse.EIO
	}
	found := s.tree.nodes[id]
	if found == nil {
		return fuse.ENOENT
	}
	return run(found)
}

func (s *serving) fill(node *node, out *fuse.EntryOut) {
	node.known++
	out.NodeId, out.Generation = node.id, 1
	out.SetEntryTimeout(cachedFor)
	out.SetAttrTimeout(cachedFor)
	attributes(node, &out.Attr)
}

func attributes(node *node, out *fuse.Attr) {
	*out = fuse.Attr{Ino: node.id, Mode: node.mode, Nlink: node.links, Owner: fuse.Owner{Uid: node.uid, Gid: node.gid},
		Size: uint64(node.content.size), Blocks: uint64(len(node.content.live)) * pageBytes / 512, Blksize: pageBytes}
	if node.isFolder() {
		out.Nlink++
	}
	if node.target != "" {
		out.Size = uint64(len(node.target))
	}
	out.SetTimes(&node.modified, &node.modified, &node.modified)
}

func (s *serving) String() string { return "powerdisk" }

func (s *serving) Lookup(_ <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return s.with(header.NodeId, func(folder *node) fuse.Status {
		found := folder.names[name]
		if found == nil {
			return fuse.ENOENT
		}
		s.fill(found, out)
		return fuse.OK
	})
}

func (s *serving) Forget(id, times uint64) {
	s.with(id, func(node *node) fuse.Status {
		s.tree.forgotten(node, times)
		return fuse.OK
	})
}

func (s *serving) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return s.with(in.NodeId, func(node *node) fuse.Status {
		out.SetTimeout(cachedFor)
		attributes(node, &out.Attr)
		return fuse.OK
	})
}

func (s *serving) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	return s.with(in.NodeId, func(node *node) fuse.Status {
		if mode, ok := in.GetMode(); ok {
			node.mode = node.mode&syscall.S_IFMT | mode
		}
		if uid, ok := in.GetUID(); ok {
			node.uid = uid
		}
		if gid, ok := in.GetGID(); ok {
			node.gid = gid
		}
		if modified, ok := in.GetMTime(); ok {
			node.modified = modified
		}
		if size, ok := in.GetSize(); ok {
			node.content.truncate(int64(size))
			node.modified = time.Now()
		}
		out.SetTimeout(cachedFor)
		attributes(node, &out.Attr)
		return fuse.OK
	})
}

// made adds a node to a folder.
func (s *serving) made(header *fuse.InHeader, name string, mode uint32, out *fuse.EntryOut) (*node, fuse.Status) {
	var made *node
	status := s.with(header.NodeId, func(folder *node) fuse.Status {
		if folder.names[name] != nil {
			return fuse.Status(syscall.EEXIST)
		}
		made = s.tree.newNode(mode)
		made.uid, made.gid = header.Uid, header.Gid
		s.tree.change(naming{folder, name, made})
		s.fill(made, out)
		return fuse.OK
	})
	return made, status
}

func (s *serving) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	_, status := s.made(&in.InHeader, name, in.Mode, out)
	return status
}

func (s *serving) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	_, status := s.made(&in.InHeader, name, syscall.S_IFDIR|in.Mode&0o7777, out)
	return status
}

func (s *serving) Symlink(_ <-chan struct{}, header *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	link, status := s.made(header, name, syscall.S_IFLNK|0o777, out)
	if status.Ok() {
		s.mu.Lock()
		defer s.mu.Unlock()
		link.target = target
		attributes(link, &out.Attr)
	}
	return status
}

func (s *serving) Readlink(_ <-chan struct{}, header *fuse.InHeader) ([]byte, fuse.Status) {
	var target string
	status := s.with(header.NodeId, func(node *node) fuse.Status {
		target = node.target
		return fuse.OK
	})
	return []byte(target), status
}

func (s *serving) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	_, status := s.made(&in.InHeader, name, syscall.S_IFREG|in.Mode&0o7777, &out.EntryOut)
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return status
}

func (s *serving) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	return s.with(in.NodeId, func(folder *node) fuse.Status {
		linked := s.tree.nodes[in.Oldnodeid]
		if linked == nil {
			return fuse.ENOENT
		}
		s.tree.change(naming{folder, name, linked})
		s.fill(linked, out)
		return fuse.OK
	})
}

func (s *serving) Unlink(_ <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return s.with(header.NodeId, func(folder *node) fuse.Status {
		if folder.names[name] == nil {
			return fuse.ENOENT
		}
		s.tree.change(naming{folder, name, nil})
		return fuse.OK
	})
}

func (s *serving) Rmdir(_ <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return s.with(header.NodeId, func(folder *node) fuse.Status {
		found := folder.names[name]
		switch {
		case found == nil:
			return fuse.ENOENT
		case len(found.names) > 0:
			return fuse.Status(syscall.ENOTEMPTY)
		}
		s.tree.change(naming{folder, name, nil})
		return fuse.OK
	})
}

func (s *serving) Rename(_ <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	return s.with(in.NodeId, func(folder *node) fuse.Status {
		target := s.tree.nodes[in.Newdir]
		if target == nil || folder.names[from] == nil {
			return fuse.ENOENT
		}
		moved, there := folder.names[from], target.names[to]
		switch {
		case moved == there:
			return fuse.OK
		case there != nil && in.Flags&noReplace != 0:
			return fuse.Status(syscall.EEXIST)
		case there != nil && in.Flags&exchange == 0 && len(there.names) > 0:
			return fuse.Status(syscall.ENOTEMPTY)
		case in.Flags&exchange == 0:
			there = nil
		}
		s.tree.change(naming{target, to, moved}, naming{folder, from, there})
		return fuse.OK
	})
}

func (s *serving) Access(_ <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	return s.with(in.NodeId, func(*node) fuse.Status { return fuse.OK })
}

func (s *serving) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return s.with(in.NodeId, func(node *node) fuse.Status {
		if in.Flags&syscall.O_TRUNC != 0 {
			node.content.truncate(0)
			node.modified = time.Now()
		}
		out.OpenFlags = fuse.FOPEN_KEEP_CACHE
		return fuse.OK
	})
}

func (s *serving) Read(_ <-chan struct{}, in *fuse.ReadIn, into []byte) (fuse.ReadResult, fuse.Status) {
	read := 0
	status := s.with(in.NodeId, func(node *node) fuse.Status {
		read = node.content.read(into, int64(in.Offset))
		return fuse.OK
	})
	return fuse.ReadResultData(into[:read]), status
}

func (s *serving) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	status := s.with(in.NodeId, func(node *node) fuse.Status {
		node.content.write(data, int64(in.Offset))
		node.modified = time.Now()
		if in.Flags&syscall.O_DSYNC != 0 {
			node.content.sync()
		}
		return fuse.OK
	})
	return uint32(len(data)), status
}

func (s *serving) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	return s.with(in.NodeId, func(*node) fuse.Status { return fuse.OK })
}

func (s *serving) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return s.with(in.NodeId, func(node *node) fuse.Status {
		node.content.sync()
		return fuse.OK
	})
}

func (s *serving) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return s.with(in.NodeId, func(folder *node) fuse.Status {
		s.tree.syncFolder(folder)
		return fuse.OK
	})
}

func (s *serving) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	return s.with(in.NodeId, func(*node) fuse.Status { return fuse.OK })
}

// ReadDir lists a folder by the numbers of its nodes, which are the offsets too: a name that is added or removed
// between two requests moves none of the others.
func (s *serving) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return s.with(in.NodeId, func(folder *node) fuse.Status {
		names := slices.SortedFunc(maps.Keys(folder.names), func(one, other string) int {
			return int(folder.names[one].id) - int(folder.names[other].id)
		})
		for _, name := range names {
			found := folder.names[name]
			if found.id <= in.Offset {
				continue
			}
			if !out.AddDirEntry(fuse.DirEntry{Name: name, Mode: found.mode, Ino: found.id, Off: found.id}) {
				break
			}
		}
		return fuse.OK
	})
}

func (s *serving) StatFs(_ <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	return s.with(in.NodeId, func(*node) fuse.Status {
		blocks := uint64(diskBytes / pageBytes)
		*out = fuse.StatfsOut{Blocks: blocks, Bfree: blocks, Bavail: blocks, Files: 1 << 20, Ffree: 1 << 20,
			Bsize: pageBytes, Frsize: pageBytes, NameLen: 255}
		return fuse.OK
	})
}
