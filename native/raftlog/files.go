// Small durable files: written to a temporary file, fsynced and renamed; then the folder is fsynced.

package raftlog

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"cairn.internal/native/raftlog/entrylog"
)

const openWait = 5 * time.Second

// Files in a raft folder besides the server id.
const (
	// entriesFolder has the entries, votesFile the votes and the term.
	entriesFolder = "entries"
	votesFile     = "votes.db"
	// logFile had both in folders of before (migrate.go).
	logFile    = "log.db"
	recordFile = "snapshot.json"
)

var serverPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

func randomID() string {
	var id [16]byte
	_, _ = rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

func writeDurable(path string, content []byte) error {
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err == nil {
		err = entrylog.SyncFolder(filepath.Dir(path))
	}
	return err
}
