// Command hello is a bare tsnet node that answers every request on port 80 with the same text. `npm run bench` compares
// a cairn node with it. Never shipped.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"tailscale.com/envknob"
	"tailscale.com/net/netns"
	"tailscale.com/tsnet"
)

const startTimeout = 60 * time.Second

// settings is one JSON line on stdin, since a key must not appear in argv. The node ends with stdin.
type settings struct {
	ControlURL string `json:"controlUrl"`
	Hostname   string `json:"hostname"`
	Dir        string `json:"dir"`
	AuthKey    string `json:"authKey"`
	Body       string `json:"body"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "hello: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	decoder := json.NewDecoder(os.Stdin)
	var given settings
	if err := decoder.Decode(&given); err != nil {
		return fmt.Errorf("no settings on stdin: %w", err)
	}
	// As in the product on a test tailnet: no uploads, plain sockets, no port mapping.
	log.SetOutput(io.Discard)
	envknob.SetNoLogsNoSupport()
	netns.SetEnabled(false)
	envknob.Setenv("TS_DISABLE_PORTMAPPER", "true")
	quiet := func(string, ...any) {}
	server := &tsnet.Server{
		Dir: given.Dir, Hostname: given.Hostname, ControlURL: given.ControlURL, AuthKey: given.AuthKey,
		Logf: quiet, UserLogf: quiet,
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if _, err := server.Up(ctx); err != nil {
		return fmt.Errorf("%s cannot join the tailnet at %s: %w", given.Hostname, given.ControlURL, err)
	}
	listener, err := server.Listen("tcp", ":80")
	if err != nil {
		return err
	}
	body := []byte(given.Body)
	length := strconv.Itoa(len(body))
	handler := http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Type", "application/json")
		writer.Header().Set("Content-Length", length)
		writer.Write(body)
	})
	ended := make(chan error, 1)
	go func() { ended <- (&http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}).Serve(listener) }()
	fmt.Println(`{"event":"ready"}`)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		ended <- err
	}()
	return <-ended
}
