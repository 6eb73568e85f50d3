// The sidecar: the same protocol as the library, on stdin and stdout, built with CGO_ENABLED=0. It ends with stdin. For
// musl, and inside macOS files that are built on Linux.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"cairn.internal/native/core"
)

// stdio is the channel's stream; Close closes stdout, and the process ends.
type stdio struct{}

func (stdio) Read(into []byte) (int, error)  { return os.Stdin.Read(into) }
func (stdio) Write(line []byte) (int, error) { return os.Stdout.Write(line) }
func (stdio) Close() error                   { return os.Stdout.Close() }

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "this program takes no arguments; it speaks JSON lines on stdin and stdout")
		os.Exit(2)
	}
	// Ctrl-C reaches the whole process group; the parent decides when this node closes, by closing stdin.
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	core.Serve(stdio{})
}
