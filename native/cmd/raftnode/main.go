// raftnode: one raft member for tests, never shipped. It serves raft.sock to one TypeScript side, reaches peers over loopback TCP, takes commands as JSON
// lines on stdin and answers on stdout. It ends when stdin or raft.sock ends.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"cairn.internal/native/raftlog"
	"cairn.internal/native/raftlog/loopback"
	"github.com/hashicorp/go-hclog"
)

type request struct {
	ID       int           `json:"id"`
	Do       string        `json:"do"`
	Server   string        `json:"server"`
	Address  string        `json:"address"`
	Previous uint64        `json:"previous"`
	Rule     loopback.Rule `json:"rule"`
}

type reply struct {
	ID    int    `json:"id"`
	Ok    any    `json:"ok"`
	Error string `json:"error,omitempty"`
}

var (
	stdoutMu sync.Mutex
	member   atomic.Pointer[raftlog.Node]
)

func writeLine(value any) {
	stdoutMu.Lock()
	defer stdoutMu.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(value)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "raftnode:", err)
		os.Exit(1)
	}
}

func run() error {
	folder := flag.String("folder", "", "raft folder")
	socket := flag.String("socket", "", "path of raft.sock")
	fleet := flag.String("fleet", "test", "name of the fleet")
	epoch := flag.String("epoch", "0000000000", "epoch of the fleet")
	profileName := flag.String("profile", "lan", "lan, home or wan")
	alone := flag.Bool("bootstrap", false, "begin a fleet of one, unless the folder has one")
	trailing := flag.Uint64("trailing", 0, "entries kept behind a snapshot")
	threshold := flag.Uint64("threshold", 0, "entries until the next snapshot")
	keepAfter := flag.Duration("keep-after", time.Millisecond, "how long everything is kept after a copy was sent")
	verbose := flag.Bool("verbose", false, "log of raft on stderr")
	flag.Parse()
	if *folder == "" || *socket == "" {
		return errors.New("--folder and --socket are needed")
	}
	profile, err := raftlog.ProfileOf(*profileName)
	if err != nil {
		return err
	}
	server, err := raftlog.ServerID(*folder)
	if err != nil {
		return err
	}
	network, err := loopback.Listen(0)
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", *socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := os.Chmod(*socket, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	writeLine(map[string]string{"event": "listening", "server": server, "address": network.Address()})
	go func() {
		defer cancel()
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			var cmd request
			if err := json.Unmarshal(lines.Bytes(), &cmd); err != nil {
				writeLine(reply{Error: err.Error()})
				continue
			}
			go func() {
				result, err := do(network, cmd)
				response := reply{ID: cmd.ID, Ok: result}
				if err != nil {
					response.Error = err.Error()
				}
				writeLine(response)
			}()
		}
	}()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	conn, err := listener.Accept()
	if err != nil {
		return nil
	}
	log := hclog.NewNullLogger()
	if *verbose {
		log = hclog.New(&hclog.LoggerOptions{Name: server[:4], Level: hclog.Debug, Output: os.Stderr})
	}
	return raftlog.Serve(ctx, conn, raftlog.Options{
		Folder: *folder, Fleet: *fleet, Epoch: *epoch, Profile: profile, Network: network, Admit: network.Admit, Bootstrap: *alone, Log: log,
		Retention: raftlog.Retention{Trailing: *trailing, Threshold: *threshold, AfterCopy: *keepAfter},
	}, func(node *raftlog.Node) { member.Store(node) })
}

func do(network *loopback.Network, cmd request) (any, error) {
	switch cmd.Do {
	case "peer":
		network.Peer(cmd.Server, cmd.Address)
		return nil, nil
	case "rule":
		network.Set(cmd.Server, cmd.Rule)
		return nil, nil
	}
	node := member.Load()
	if node == nil {
		return nil, errors.New("the member did not start yet")
	}
	switch cmd.Do {
	case "state":
		return node.State(), nil
	case "members":
		return node.Membership()
	case "add":
		return nil, node.AddNonvoter(cmd.Server, cmd.Previous)
	case "promote":
		return nil, node.Promote(cmd.Server, cmd.Previous)
	case "remove":
		return nil, node.Remove(cmd.Server, cmd.Previous)
	case "transfer":
		return nil, node.Transfer(cmd.Server)
	case "snapshot":
		return nil, node.Snapshot()
	}
	return nil, fmt.Errorf("no command %q", cmd.Do)
}
