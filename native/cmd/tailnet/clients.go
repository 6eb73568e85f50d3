// The methods for client nodes.

package main

import (
	"context"
	"encoding/json"
	"fmt"

	"cairn.internal/native/tailnettest"
)

func client(ctx context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error) {
	p, err := parse[struct {
		Hostname, User, IP, Source, AuthKey string
		Tags                                []string
	}](params)
	if err != nil {
		return nil, err
	}
	options := tailnettest.ClientOptions{Hostname: p.Hostname, User: p.User, Tags: p.Tags, AuthKey: p.AuthKey}
	if options.IP, err = parseAddress(p.IP); err != nil {
		return nil, err
	}
	if options.Source, err = parseAddress(p.Source); err != nil {
		return nil, err
	}
	started, err := tailnet.Client(ctx, options)
	if err != nil {
		return nil, err
	}
	proxy, err := started.Proxy()
	if err != nil {
		started.Close()
		return nil, err
	}
	return map[string]any{"id": started.ID, "ips": started.IPs, "proxy": proxy}, nil
}

func clientClose(_ context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error) {
	p, err := parse[struct{ Hostname string }](params)
	if err != nil {
		return nil, err
	}
	running, err := tailnet.Running(p.Hostname)
	if err != nil {
		return nil, err
	}
	return empty{}, running.Close()
}

func clientServe(_ context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error) {
	p, err := parse[struct {
		Hostname string
		Port     int
		From     string
	}](params)
	if err == nil && (p.Port < 1 || p.Port > 65535) {
		err = fmt.Errorf("%w: port must be 1 to 65535, not %d", errParams, p.Port)
	}
	if err != nil {
		return nil, err
	}
	running, err := tailnet.Running(p.Hostname)
	if err != nil {
		return nil, err
	}
	if p.From != "" {
		return empty{}, running.ServeFrom(p.Port, p.From)
	}
	return empty{}, running.Serve(p.Port)
}

func clientPath(ctx context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error) {
	p, err := parse[struct{ Hostname, Node string }](params)
	if err != nil {
		return nil, err
	}
	running, err := tailnet.Running(p.Hostname)
	if err != nil {
		return nil, err
	}
	path, err := running.Path(ctx, p.Node)
	if err != nil {
		return nil, err
	}
	return map[string]string{"path": path}, nil
}
