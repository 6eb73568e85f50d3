//go:build cairntest

// The method `panic`, for tests of panics; never in a product build.

package core

import (
	"context"
	"encoding/json"
	"time"
)

// TestHooks is true only in builds with the tag cairntest, which have the method `panic`.
const TestHooks = true

func init() {
	methods["panic"] = func(_ context.Context, _ *session, raw json.RawMessage) (any, error) {
		var params struct {
			Where string `json:"where"`
		}
		if err := decodeParams(raw, &params); err != nil {
			return nil, err
		}
		switch params.Where {
		case "export-goroutine":
			panic("asked for by a test")
		case "library-goroutine":
			go func() { panic("asked for by a test, as a library would") }()
			time.Sleep(time.Minute)
			return empty{}, nil
		}
		return nil, badRequest("where must be export-goroutine or library-goroutine, not %.40q", params.Where)
	}
}
