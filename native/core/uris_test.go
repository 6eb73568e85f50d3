// Checks that net/url keeps the ids of contexts in their URIs.

package core

import (
	"bufio"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// URIs of contexts keep their ids through net/url, which clients in Go use. The unit tests check that the file holds
// what src/mcp/uri.ts makes.
func TestURIsOfContexts(t *testing.T) {
	file, err := os.Open(filepath.Join("..", "testdata", "uris", "uris.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows := 0
	for lines := bufio.NewScanner(file); lines.Scan(); rows++ {
		var row struct{ ID, URI string }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		parsed, err := url.Parse(row.URI)
		if err != nil {
			t.Errorf("%q: %v", row.ID, err)
			continue
		}
		if parsed.Host != "" || parsed.Path != "/"+row.ID {
			t.Errorf("%q became host %q and path %q", row.ID, parsed.Host, parsed.Path)
		}
		if parsed.String() != row.URI {
			t.Errorf("%q became %q", row.URI, parsed.String())
		}
	}
	if rows < 300 {
		t.Errorf("the file has only %d rows", rows)
	}
}
