// Refusals as problem documents (RFC 9457).

package core

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Problem is a refusal made in Go, before TypeScript sees the request.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

func writeProblem(writer http.ResponseWriter, status int, code, detail, hint string) {
	text, err := json.Marshal(Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail, Hint: hint})
	if err != nil {
		text = []byte(`{"type":"about:blank"}`)
	}
	header := writer.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	writer.WriteHeader(status)
	_, _ = writer.Write(text)
}
