// Command raftnode runs one raft member for tests; never shipped. It serves raft.sock to one TypeScript side, reaches
// peers over loopback TCP, reads commands as JSON lines on stdin and writes responses on stdout. It ends with stdin or
// raft.sock.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
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

// config is what the command line says.
type config struct {
	folder, socket string
	verbose        bool
	options        raftlog.Options
}

func parseFlags() (config, error) {
	var c config
	flag.StringVar(&c.folder, "folder", "", "raft folder")
	flag.StringVar(&c.socket, "socket", "", "path of raft.sock")
	flag.StringVar(&c.options.Fleet, "fleet", "test", "name of the fleet")
	flag.StringVar(&c.options.Epoch, "epoch", "0000000000", "epoch of the fleet")
	profile := flag.String("profile", "lan", "lan, home or wan")
	flag.BoolVar(&c.options.Bootstrap, "bootstrap", false, "begin a fleet of one, unless the folder has one")
	retention := &c.options.Retention
	flag.Uint64Var(&retention.Trailing, "trailing", 0, "entries kept behind a snapshot")
	flag.Uint64Var(&retention.Threshold, "threshold", 0, "entries until the next snapshot")
	flag.DurationVar(&retention.AfterCopy, "keep-after", time.Millisecond,
		"how long everything is kept after a copy was sent")
	flag.BoolVar(&c.verbose, "verbose", false, "log of raft on stderr")
	flag.Parse()
	if c.folder == "" || c.socket == "" {
		return c, errors.New("--folder and --socket are required")
	}
	c.options.Folder = c.folder
	var err error
	c.options.Profile, err = raftlog.ProfileOf(*profile)
	return c, err
}

func run() error {
	c, err := parseFlags()
	if err != nil {
		return err
	}
	server, err := raftlog.ServerID(c.folder)
	if err != nil {
		return err
	}
	network, err := loopback.Listen(0)
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", c.socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := os.Chmod(c.socket, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	writeLine(map[string]string{"event": "listening", "server": server, "address": network.Address()})
	go func() {
		defer cancel()
		readCommands(os.Stdin, network)
	}()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	conn, err := listener.Accept()
	if err != nil {
		return nil
	}
	c.options.Network, c.options.Admit, c.options.Log = network, network.Admit, hclog.NewNullLogger()
	if c.verbose {
		c.options.Log = hclog.New(&hclog.LoggerOptions{Name: server[:4], Level: hclog.Debug, Output: os.Stderr})
	}
	return raftlog.Serve(ctx, conn, c.options, func(node *raftlog.Node) { member.Store(node) })
}

// readCommands runs each command line in its own goroutine until the input ends.
func readCommands(input io.Reader, network *loopback.Network) {
	lines := bufio.NewScanner(input)
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
		return nil, errors.New("the member has not started yet")
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
	return nil, fmt.Errorf("unknown command %q", cmd.Do)
}
