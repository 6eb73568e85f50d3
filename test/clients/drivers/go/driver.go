// The loop of the Go drivers: reads a JSON object from each line of stdin, lets the client do it, and prints what came
// of it as one line.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

type object = map[string]any

type request struct {
	Op        string `json:"op"`
	Name      string `json:"name"`
	Arguments object `json:"arguments"`
	URI       string `json:"uri"`
	AfterMs   int    `json:"after_ms"`
}

// operation does one request with a client.
type operation func(context.Context, request) (object, error)

// loop serves requests until stdin ends; updated has the URIs of notifications.
func loop(operations map[string]operation, updated <-chan string) {
	call := operations["call"]
	operations["cancel"] = func(ctx context.Context, asked request) (object, error) {
		limited, cancel := context.WithTimeout(ctx, time.Duration(asked.AfterMs)*time.Millisecond)
		defer cancel()
		if result, err := call(limited, asked); err == nil {
			return nil, fmt.Errorf("the call ended by itself: %v", result)
		}
		return object{}, nil
	}
	operations["updated"] = func(context.Context, request) (object, error) {
		select {
		case uri := <-updated:
			return object{"uri": uri}, nil
		case <-time.After(10 * time.Second):
			return nil, errors.New("no notification within 10 s")
		}
	}
	print := json.NewEncoder(os.Stdout)
	_ = print.Encode(object{"ready": true})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			fail(err)
		}
		run, known := operations[asked.Op]
		if !known {
			_ = print.Encode(object{"unsupported": true})
			continue
		}
		result, err := run(context.Background(), asked)
		if err != nil {
			result = object{"failed": err.Error()}
		}
		_ = print.Encode(result)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
