// What a cut leaves: names by their folders, bytes by their files, and torn pages by their seed.

package powerdisk

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func folderIn(t *tree, parent *node, name string) *node {
	made := t.newNode(syscall.S_IFDIR | 0o700)
	t.change(naming{parent, name, made})
	return made
}

func fileIn(t *tree, folder *node, name, text string) *node {
	made := t.newNode(syscall.S_IFREG | 0o600)
	made.content.write([]byte(text), 0)
	t.change(naming{folder, name, made})
	return made
}

// listed returns the names below a folder, each file with its text.
func listed(folder *node) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(folder.names)) {
		each := folder.names[name]
		if each.isFolder() {
			all = append(all, name+"("+listed(each)+")")
		} else {
			all = append(all, name+"="+text(&each.content))
		}
	}
	return strings.Join(all, " ")
}

func text(content *content) string {
	into := make([]byte, content.size)
	content.read(into, 0)
	return string(into)
}

func TestWhatIsLeftAfterACut(t *testing.T) {
	rename := func(t *tree, from *node, old string, to *node, name string) {
		t.change(naming{to, name, from.names[old]}, naming{from, old, nil})
	}
	for _, c := range []struct {
		name, left string
		do         func(*tree)
	}{
		{"nothing was synced", "", func(t *tree) { fileIn(t, t.root, "a", "one") }},
		{"a file was, its folder not", "", func(t *tree) { fileIn(t, t.root, "a", "one").content.sync() }},
		{"a folder was, its file not", "a=", func(t *tree) {
			fileIn(t, t.root, "a", "one")
			t.syncFolder(t.root)
		}},
		{"both were, and a later write not", "a=one", func(t *tree) {
			file := fileIn(t, t.root, "a", "one")
			file.content.sync()
			t.syncFolder(t.root)
			file.content.write([]byte("another"), 0)
		}},
		{"a folder in a new folder was", "", func(t *tree) {
			folder := folderIn(t, t.root, "f")
			fileIn(t, folder, "a", "one").content.sync()
			t.syncFolder(folder)
		}},
		{"a removed name was not", "a=one", func(t *tree) {
			fileIn(t, t.root, "a", "one")
			t.syncAll()
			t.change(naming{t.root, "a", nil})
		}},
		{"a file replaced by rename was not", "a=one", func(t *tree) {
			fileIn(t, t.root, "a", "one")
			t.syncAll()
			fileIn(t, t.root, "a.new", "two").content.sync()
			rename(t, t.root, "a.new", t.root, "a")
		}},
		{"a file replaced by rename was", "a=two", func(t *tree) {
			fileIn(t, t.root, "a", "one")
			t.syncAll()
			fileIn(t, t.root, "a.new", "two").content.sync()
			rename(t, t.root, "a.new", t.root, "a")
			t.syncFolder(t.root)
		}},
		{"of a rename between folders one was: it is in one of them", "f() g(a=one)", func(t *tree) {
			f, g := folderIn(t, t.root, "f"), folderIn(t, t.root, "g")
			fileIn(t, f, "a", "one")
			t.syncAll()
			rename(t, f, "a", g, "a")
			t.syncFolder(f)
		}},
		{"a change that an unsynced rename does not touch", "f(a=one)", func(t *tree) {
			f := folderIn(t, t.root, "f")
			fileIn(t, f, "a", "one")
			t.syncAll()
			fileIn(t, f, "b", "two")
			fileIn(t, t.root, "c", "three")
			t.change(naming{t.root, "c", nil})
			t.syncFolder(t.root)
		}},
		{"what a truncated file was", "a=one", func(t *tree) {
			file := fileIn(t, t.root, "a", "one")
			t.syncAll()
			file.content.truncate(0)
		}},
		{"a file with two names", "a=one b=one", func(t *tree) {
			file := fileIn(t, t.root, "a", "one")
			t.change(naming{t.root, "b", file})
			t.syncAll()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := newTree()
			c.do(tree)
			if left := listed(tree.after(nil).root); left != c.left {
				t.Fatalf("left is %q, not %q", left, c.left)
			}
		})
	}
}

// A torn file has old and new pages, and each of both in some run; the same seed leaves the same.
func TestATornFileHasSomeOfItsPages(t *testing.T) {
	whole := func(letter string) string { return strings.Repeat(letter, 4*pageBytes) }
	seen := map[string]bool{}
	for seed := range uint64(200) {
		leave := func() string {
			tree := newTree()
			file := fileIn(tree, tree.root, "a", whole("-"))
			tree.syncAll()
			file.content.write([]byte(whole("x")), 0)
			left := tree.after(rand.New(rand.NewPCG(seed, 0)))
			return text(&left.root.names["a"].content)
		}
		left := leave()
		if left != leave() {
			t.Fatalf("seed %d leaves two states", seed)
		}
		pages := ""
		for page := range slices.Chunk([]byte(left), pageBytes) {
			if !bytes.Equal(page, bytes.Repeat(page[:1], pageBytes)) {
				t.Fatalf("seed %d tears a page", seed)
			}
			pages += string(page[:1])
		}
		seen[pages] = true
	}
	if len(seen) != 16 {
		t.Fatalf("200 seeds leave %d of 16 states", len(seen))
	}
}

// Names are lost from the newest back: a journal keeps their order.
func TestTornNamesKeepTheirOrder(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(100) {
		tree := newTree()
		for _, name := range []string{"a", "b", "c"} {
			fileIn(tree, tree.root, name, "")
		}
		seen[listed(tree.after(rand.New(rand.NewPCG(seed, 0))).root)] = true
	}
	if found := slices.Sorted(maps.Keys(seen)); !slices.Equal(found, []string{"", "a=", "a= b=", "a= b= c="}) {
		t.Fatalf("names left are %q", found)
	}
}

func TestReadsAndWritesAtAnyPlace(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 1))
	file, right := newContent(), []byte{}
	for range 2000 {
		at, length := chance.IntN(3*pageBytes), chance.IntN(2*pageBytes)
		switch chance.IntN(4) {
		case 0:
			file.truncate(int64(at))
			right = append(right, make([]byte, max(0, at-len(right)))...)[:at:at]
		case 1:
			file.sync()
		default:
			data := bytes.Repeat([]byte{byte(chance.IntN(255) + 1)}, length)
			file.write(data, int64(at))
			right = append(right, make([]byte, max(0, at+length-len(right)))...)
			copy(right[at:], data)
		}
		if text(&file) != string(right) {
			t.Fatal("the file differs from what was written")
		}
		if again := file.after(nil); text(&again) == "" && file.durableSize > 0 {
			t.Fatal("what was synced is gone")
		}
	}
}
