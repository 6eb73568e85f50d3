// The methods of the line protocol: each parses its parameters and calls tailnettest once.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"cairn.internal/native/tailnettest"
)

type methods struct{ tailnet *tailnettest.Tailnet }

type empty struct{}

type method func(ctx context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error)

var table = map[string]method{
	"expect":         expect,
	"auth":           auth,
	"complete-login": completeLogin,
	"nodes": func(_ context.Context, tailnet *tailnettest.Tailnet, _ json.RawMessage) (any, error) {
		return map[string]any{"nodes": tailnet.Nodes()}, nil
	},
	"grants":       grants,
	"update":       update,
	"remove":       remove,
	"control":      switched((*tailnettest.Tailnet).SetControl),
	"derp":         switched((*tailnettest.Tailnet).SetDERP),
	"direct":       direct,
	"link":         link,
	"https":        https,
	"client":       client,
	"client-close": clientClose,
	"client-serve": clientServe,
	"client-path":  clientPath,
}

// errParams marks invalid parameters.
var errParams = errors.New("bad parameters")

func handle(ctx context.Context, methods *methods, call request) (response reply) {
	defer func() {
		if cause := recover(); cause != nil {
			response = reply{
				ID:    call.ID,
				Error: &failure{Code: "internal", Message: fmt.Sprintf("%s panicked: %v", call.Method, cause)},
			}
		}
	}()
	run, ok := table[call.Method]
	if !ok {
		return reply{
			ID: call.ID,
			Error: &failure{
				Code:    "unknown_method",
				Message: fmt.Sprintf("no method %q", call.Method),
				Hint:    "native/TAILNET.md lists them",
			},
		}
	}
	result, err := run(ctx, methods.tailnet, call.Params)
	switch {
	case errors.Is(err, errParams):
		return reply{
			ID: call.ID,
			Error: &failure{
				Code:    "bad_request",
				Message: fmt.Sprintf("%s: %v", call.Method, err),
				Hint:    "native/TAILNET.md lists the parameters",
			},
		}
	case ctx.Err() != nil && err != nil:
		return reply{ID: call.ID, Error: &failure{Code: "timeout", Message: fmt.Sprintf("%s: %v", call.Method, err)}}
	case err != nil:
		return reply{ID: call.ID, Error: &failure{Code: "failed", Message: fmt.Sprintf("%s: %v", call.Method, err)}}
	}
	return reply{ID: call.ID, Result: result}
}

func parse[T any](params json.RawMessage) (value T, err error) {
	decoder := json.NewDecoder(bytes.NewReader(params))
	decoder.DisallowUnknownFields()
	if err = decoder.Decode(&value); err != nil {
		err = fmt.Errorf("%w: %w", errParams, err)
	}
	return value, err
}

func parseAddress(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return address, fmt.Errorf("%w: %w", errParams, err)
	}
	return address, nil
}

// parseTime parses RFC 3339; "never" and "" are the zero time.
func parseTime(text string) (time.Time, error) {
	if text == "" || text == "never" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%w: keyExpiry: %w", errParams, err)
	}
	return at, nil
}

func expect(_ context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error) {
	p, err := parse[struct {
		Hostname, User, IP, Source, KeyExpiry string
		Tags                                  []string
	}](params)
	if err != nil {
		return nil, err
	}
	expected := tailnettest.Expect{Hostname: p.Hostname, User: p.User, Tags: p.Tags}
	if expected.IP, err = parseAddress(p.IP); err != nil {
		return nil, err
	}
	if expected.Source, err = parseAddress(p.Source); err != nil {
		return nil, err
	}
	if expected.KeyExpiry, err = parseTime(p.KeyExpiry); err != nil {
		return nil, err
	}
	return empty{}, tailnet.Expect(expected)
}

func auth(_ context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error) {
	p, err := parse[struct {
		Mode              tailnettest.AuthMode
		Keys, ExpiredKeys []string
	}](params)
	if err != nil {
		return nil, err
	}
	return empty{}, tailnet.Auth(p.Mode, p.Keys, p.ExpiredKeys)
}

func completeLogin(_ context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error) {
	p, err := parse[struct{ URL string }](params)
	if err != nil {
		return nil, err
	}
	return empty{}, tailnet.CompleteLogin(p.URL)
}

func grants(_ context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error) {
	p, err := parse[struct{ Grants []tailnettest.Grant }](params)
	if err != nil {
		return nil, err
	}
	tailnet.Grants(p.Grants)
	return empty{}, nil
}

func update(_ context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error) {
	p, err := parse[struct {
		Node                                     string
		User, KeyExpiry                          *string
		Tags                                     *[]string
		Expired, Unsigned, Jailed, WireguardOnly *bool
		Foreign                                  any
		SubnetRoutes                             *[]netip.Prefix
		IP                                       *netip.Addr
		Name, Refused                            *string
	}](params)
	if err != nil {
		return nil, err
	}
	change := tailnettest.Change{
		User: p.User, Tags: p.Tags, Expired: p.Expired, Unsigned: p.Unsigned, Jailed: p.Jailed,
		WireGuardOnly: p.WireguardOnly, SubnetRoutes: p.SubnetRoutes,
		IP: p.IP, Name: p.Name, Refused: p.Refused,
	}
	if p.KeyExpiry != nil {
		at, err := parseTime(*p.KeyExpiry)
		if err != nil {
			return nil, err
		}
		change.KeyExpiry = &at
	}
	if change.Foreign, err = parseForeign(p.Foreign); err != nil {
		return nil, err
	}
	return empty{}, tailnet.Update(p.Node, change)
}

func parseForeign(value any) (*tailnettest.Foreign, error) {
	kind := tailnettest.ForeignNo
	switch value {
	case nil:
		return nil, nil
	case false:
	case true, string(tailnettest.ForeignSharedIn):
		kind = tailnettest.ForeignSharedIn
	case string(tailnettest.ForeignSharee):
		kind = tailnettest.ForeignSharee
	case string(tailnettest.ForeignDomain):
		kind = tailnettest.ForeignDomain
	default:
		return nil, fmt.Errorf("%w: foreign is true, false, shared-in, sharee or domain, not %v", errParams, value)
	}
	return &kind, nil
}

func remove(_ context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error) {
	p, err := parse[struct{ Node string }](params)
	if err != nil {
		return nil, err
	}
	return empty{}, tailnet.Remove(p.Node)
}

func switched(set func(*tailnettest.Tailnet, bool) error) method {
	return func(_ context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error) {
		p, err := parse[struct{ Up *bool }](params)
		if err == nil && p.Up == nil {
			err = fmt.Errorf("%w: up is missing", errParams)
		}
		if err != nil {
			return nil, err
		}
		return empty{}, set(tailnet, *p.Up)
	}
}

func direct(_ context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error) {
	p, err := parse[struct{ Allowed *bool }](params)
	if err == nil && p.Allowed == nil {
		err = fmt.Errorf("%w: allowed is missing", errParams)
	}
	if err != nil {
		return nil, err
	}
	tailnet.SetDirect(*p.Allowed)
	return empty{}, nil
}

func link(_ context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error) {
	p, err := parse[struct {
		From, To                string
		DelayMs, JitterMs, Loss float64
		Cut                     bool
	}](params)
	if err != nil {
		return nil, err
	}
	milliseconds := func(count float64) time.Duration { return time.Duration(count * float64(time.Millisecond)) }
	return empty{}, tailnet.SetLink(p.From, p.To, tailnettest.Link{
		Delay: milliseconds(p.DelayMs), Jitter: milliseconds(p.JitterMs), Loss: p.Loss, Cut: p.Cut,
	})
}

func https(_ context.Context, tailnet *tailnettest.Tailnet, params json.RawMessage) (any, error) {
	p, err := parse[struct {
		Enabled *bool
		Funnel  bool
	}](params)
	if err == nil && p.Enabled == nil {
		err = fmt.Errorf("%w: enabled is missing", errParams)
	}
	if err != nil {
		return nil, err
	}
	tailnet.SetHTTPS(*p.Enabled, p.Funnel)
	return empty{}, nil
}
