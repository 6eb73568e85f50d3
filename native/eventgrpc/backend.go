// The node's own HTTP routes, as the services use them: a batch of events to store, a stream of events, pages of a
// list, and whether the node serves. All requests are made in the name of the caller of the call.

package eventgrpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"connectrpc.com/connect"
)

const (
	// HeaderClose in a response of the node says that this caller keeps no connection.
	HeaderClose = "Cairn-Internal-Close"

	batchType        = "application/cloudevents-batch+json"
	maxResponseBytes = 32 << 20
	maxProblemBytes  = 64 << 10
)

// passed are the metadata of a call that the node's routes understand. Nothing else of a call goes on.
var passed = []string{"Cairn-Agent", "Cairn-Client", "Cairn-Min-Position", "Traceparent", "Tracestate"}

type backend struct {
	client *http.Client
}

// outcome is what became of one event of a batch.
type outcome struct {
	ID        string   `json:"id"`
	Cursor    string   `json:"cursor"`
	Duplicate bool     `json:"duplicate"`
	Error     *problem `json:"error"`
}

// problem is a problem document, or the error of one event.
type problem struct {
	Status     int    `json:"status"`
	Code       string `json:"code"`
	Detail     string `json:"detail"`
	Message    string `json:"message"`
	Field      string `json:"field"`
	Hint       string `json:"hint"`
	Oldest     string `json:"oldest"`
	RetryAfter int    `json:"retryAfterSeconds"`
}

// publish stores a batch of CloudEvents in a space and returns one outcome for each.
func (b *backend) publish(ctx context.Context, metadata http.Header, batch []json.RawMessage) ([]outcome, error) {
	response, err := b.post(ctx, metadata, "/events/batch", spaceOf(metadata), batchType, batch)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer struct {
		Results []outcome `json:"results"`
	}
	if err := readJSON(response, &answer); err != nil {
		return nil, err
	}
	if len(answer.Results) != len(batch) {
		return nil, connect.NewError(connect.CodeInternal, fmt.Errorf(
			"this node gave %d results for %d events", len(answer.Results), len(batch)))
	}
	return answer.Results, nil
}

// follow opens the stream of events that the query describes. It ends with the context.
func (b *backend) follow(ctx context.Context, metadata http.Header, query url.Values) (*feed, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	response, err := b.send(ctx, metadata, http.MethodGet, "/events/stream", query, "", nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	return newFeed(ctx, cancel, response.Body), nil
}

// admit returns the refusal of a caller without any right here, nil for others.
func (b *backend) admit(ctx context.Context, metadata http.Header) error {
	response, err := b.send(ctx, metadata, http.MethodGet, "/.well-known/cairn", nil, "", nil)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.Header.Get(HeaderClose) != "" {
		return connect.NewError(connect.CodePermissionDenied, errors.New(
			"this caller has no right here: see what GET /events responds to it"))
	}
	return nil
}

// readiness is what the node says of itself.
type readiness struct {
	Status, Version string
	Ready           bool
}

// ready returns whether the node serves; the error is one of asking.
func (b *backend) ready(ctx context.Context, metadata http.Header) (readiness, error) {
	response, err := b.ask(ctx, metadata, http.MethodGet, "/ready", nil, "", nil)
	if err != nil {
		return readiness{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusServiceUnavailable {
		return readiness{}, problemError(response)
	}
	var said struct {
		Status  any    `json:"status"`
		Ready   bool   `json:"ready"`
		Version string `json:"version"`
	}
	if err := readJSON(response, &said); err != nil {
		return readiness{}, err
	}
	answer := readiness{Ready: said.Ready, Version: said.Version}
	if text, isText := said.Status.(string); isText {
		answer.Status = text
	} else {
		answer.Status = "unavailable" // a node that is stopping refuses: the status of a problem is a number
	}
	return answer, nil
}

// post sends a value as JSON of some media type, and returns the response of 200.
func (b *backend) post(
	ctx context.Context, metadata http.Header, path string, query url.Values, mediaType string, value any,
) (*http.Response, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, connect.NewError(connect.CodeInternal, err)
	}
	return b.send(ctx, metadata, http.MethodPost, path, query, mediaType, body)
}

// send returns the response of 200, or the error that any other one is.
func (b *backend) send(
	ctx context.Context, metadata http.Header, method, path string, query url.Values, mediaType string, body []byte,
) (*http.Response, error) {
	response, err := b.ask(ctx, metadata, method, path, query, mediaType, body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, problemError(response)
	}
	return response, nil
}

func (b *backend) ask(
	ctx context.Context, metadata http.Header, method, path string, query url.Values, mediaType string, body []byte,
) (*http.Response, error) {
	address := url.URL{Scheme: "http", Host: "node", Path: path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, connect.NewError(connect.CodeInternal, err)
	}
	for _, name := range passed {
		if values := metadata.Values(name); len(values) > 0 {
			request.Header[name] = values
		}
	}
	if mediaType != "" {
		request.Header.Set("Content-Type", mediaType)
	}
	response, err := b.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, connect.NewError(connect.CodeUnavailable, errors.New(
			"this node cannot respond at the moment: try again in a second, with the same event_id"))
	}
	if response.Header.Get(HeaderClose) != "" {
		callOf(ctx).closes.Store(true)
	}
	return response, nil
}

// spaceOf returns the query that names the space of a call; without one the node takes its default.
func spaceOf(metadata http.Header) url.Values {
	query := url.Values{}
	if space := metadata.Get("Cairn-Space"); space != "" {
		query.Set("space", space)
	}
	return query
}

func readJSON(response *http.Response, into any) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, maxResponseBytes+1))
	if err == nil && len(text) > maxResponseBytes {
		err = fmt.Errorf("a response has more than %d bytes", maxResponseBytes)
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return connect.NewError(connect.CodeUnavailable, fmt.Errorf("this node's response cannot be read: %w", err))
	}
	return nil
}

// problemError returns a problem document as the error of a call.
func problemError(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxProblemBytes))
	found := problem{}
	if json.Unmarshal(text, &found) != nil || found.Detail == "" {
		found.Detail = "this node responded with " + response.Status
	}
	found.Status = response.StatusCode
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		found.RetryAfter = seconds
	}
	return found.asError()
}

// asError returns the problem as the status of a call. The code of Cairn and what helps to go on are its metadata.
func (p *problem) asError() *connect.Error {
	detail := p.Detail
	if detail == "" {
		detail = p.Message
	}
	failed := connect.NewError(CodeOf(p.status()), errors.New(sentences(detail, p.Hint)))
	meta := failed.Meta()
	meta.Set("Cairn-Code", p.Code)
	if p.Field != "" {
		meta.Set("Cairn-Field", p.Field)
	}
	if p.Oldest != "" {
		meta.Set("Cairn-Oldest", p.Oldest)
	}
	if p.RetryAfter > 0 {
		meta.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	return failed
}

// status returns the HTTP status; the error of one event has only a code.
func (p *problem) status() int {
	if p.Status != 0 {
		return p.Status
	}
	switch p.Code {
	case "invalid_input":
		return http.StatusBadRequest
	case "forbidden", "rights_changed":
		return http.StatusForbidden
	case "below_floor", "history_forked":
		return http.StatusGone
	case "too_large":
		return http.StatusRequestEntityTooLarge
	case "rate_limited", "slow_reader":
		return http.StatusTooManyRequests
	case "quota_exceeded", "storage_full":
		return http.StatusInsufficientStorage
	case "internal":
		return http.StatusInternalServerError
	}
	return http.StatusServiceUnavailable
}

// retryAfter returns after how many seconds the same events may be sent again, and false where that would not help.
func retryAfter(err error) (seconds int, again bool) {
	known := (*connect.Error)(nil)
	if !errors.As(err, &known) {
		return 0, false
	}
	code := known.Meta().Get("Cairn-Code")
	if known.Code() != connect.CodeUnavailable && code != "rate_limited" {
		return 0, false
	}
	seconds, _ = strconv.Atoi(known.Meta().Get("Retry-After"))
	return max(seconds, 1), true
}
