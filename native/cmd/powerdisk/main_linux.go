// Command powerdisk mounts a disk that can lose its power (native/powerdisk) at a folder, for tests; never shipped. It
// reads commands as JSON lines on stdin and writes one line for each on stdout, the first when the disk is mounted. It
// unmounts and ends with stdin.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"

	"cairn.internal/native/powerdisk"
)

// command is `sync`, or `cut` with the process to kill; a seed leaves a part of what was not synced.
type command struct {
	Do   string  `json:"do"`
	Pid  int     `json:"pid"`
	Seed *uint64 `json:"seed"`
}

type reply struct {
	Lost  *powerdisk.Lost `json:"lost,omitempty"`
	Error string          `json:"error,omitempty"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "powerdisk: the one argument is the folder to mount at")
		os.Exit(2)
	}
	// Ctrl-C reaches the whole terminal, and nodes need their disk until they have ended.
	signal.Ignore(os.Interrupt)
	disk, err := powerdisk.Mount(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "powerdisk:", err)
		os.Exit(1)
	}
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(reply{})
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		_ = out.Encode(do(disk, lines.Bytes()))
	}
	if err := disk.Unmount(); err != nil {
		fmt.Fprintln(os.Stderr, "powerdisk:", err)
		os.Exit(1)
	}
}

func do(disk *powerdisk.Disk, line []byte) reply {
	var asked command
	if err := json.Unmarshal(line, &asked); err != nil {
		return reply{Error: err.Error()}
	}
	switch asked.Do {
	case "sync":
		disk.Sync()
		return reply{}
	case "cut":
		var chance *rand.Rand
		if asked.Seed != nil {
			chance = rand.New(rand.NewPCG(*asked.Seed, 0))
		}
		lost, err := disk.Cut(asked.Pid, chance)
		if err != nil {
			return reply{Error: err.Error()}
		}
		return reply{Lost: &lost}
	}
	return reply{Error: fmt.Sprintf("no command %q", asked.Do)}
}
