// Small durable files: written to a temporary file, fsynced and renamed; then the folder is fsynced.

package raftlog

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

const openWait = 5 * time.Second

// Files in a raft folder besides the server id: the entries and votes, and the snapshot record.
const (
	logFile    = "log.db"
	recordFile = "snapshot.json"
	// rewrittenSuffix is added to the name of the log while it is rewritten.
	rewrittenSuffix = ".new"
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
		err = SyncFolder(filepath.Dir(path))
	}
	return err
}

// SyncFolder makes the names in a folder durable.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
