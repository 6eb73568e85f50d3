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
	// Outcome says whether a write may have been done, as in TypeScript: unknown or not_written.
	Outcome   string `json:"outcome,omitempty"`
	Retryable bool   `json:"retryable,omitempty"`
}

func writeProblem(writer http.ResponseWriter, status int, code, detail, hint string) {
	Problem{Status: status, Code: code, Detail: detail, Hint: hint}.write(writer)
}

// problemWriter is a response whose client reads no problem documents.
type problemWriter interface{ writeProblem(Problem) }

// write sends the problem with the fields that follow from its status.
func (p Problem) write(writer http.ResponseWriter) {
	if other, found := writer.(problemWriter); found {
		other.writeProblem(p)
		return
	}
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	text, err := json.Marshal(p)
	if err != nil {
		text = []byte(`{"type":"about:blank"}`)
	}
	header := writer.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	writer.WriteHeader(p.Status)
	_, _ = writer.Write(text)
}
