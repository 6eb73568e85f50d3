// A disk: a tree that the kernel reaches at a mount point, and what happens to it.

package powerdisk

import (
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Disk is mounted, or had been.
type Disk struct {
	at      string
	serving *serving
}

// serving is one mount of a disk. Once its power is gone, every request fails.
type serving struct {
	fuse.RawFileSystem
	mu     sync.Mutex
	isDead bool
	tree   *tree
}

// Mount makes an empty disk and mounts it at a folder. It needs root.
func Mount(at string) (*Disk, error) {
	disk := &Disk{at: at}
	return disk, disk.mount(newTree())
}

func (d *Disk) mount(tree *tree) error {
	d.serving = &serving{RawFileSystem: fuse.NewDefaultRawFileSystem(), tree: tree}
	server, err := fuse.NewServer(d.serving, d.at, &fuse.MountOptions{
		FsName: "powerdisk", Name: "powerdisk", DirectMountStrict: true, DisableXAttrs: true, DisableReadDirPlus: true,
		// Only this kernel changes the files, so what it has cached is right.
		ExplicitDataCacheControl: true,
		Logger:                   log.New(io.Discard, "", 0),
	})
	if err != nil {
		return fmt.Errorf("mounting at %s: %w", d.at, err)
	}
	go server.Serve()
	return server.WaitMount()
}

// Sync makes all that was written durable.
func (d *Disk) Sync() {
	d.serving.mu.Lock()
	defer d.serving.mu.Unlock()
	d.serving.tree.syncAll()
}

// Cut takes the power away and kills the process, with no request between the two, then mounts what the disk has then.
// Without chance that is what was synced; with it, the disk was writing and any part of the rest is there too.
func (d *Disk) Cut(pid int, chance *rand.Rand) (Lost, error) {
	old := d.serving
	old.mu.Lock()
	old.isDead = true
	err := syscall.Kill(pid, syscall.SIGKILL)
	lost := old.tree.unsynced()
	left := old.tree.after(chance)
	old.mu.Unlock()
	if err != nil {
		return lost, fmt.Errorf("killing process %d: %w", pid, err)
	}
	if err := d.Unmount(); err != nil {
		return lost, err
	}
	return lost, d.mount(left)
}

// Unmount removes the disk from the folder, also while files on it are open.
func (d *Disk) Unmount() error {
	if err := syscall.Unmount(d.at, syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting %s: %w", d.at, err)
	}
	return nil
}
