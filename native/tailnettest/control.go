// The wire protocol of the control server: key exchange, the Noise upgrade, and the requests inside it, which
// register.go and netmap.go handle. Tailscale's testcontrol is not used: it has one auth key, cannot remove a node, and
// panics on unknown requests.

package tailnettest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/net/http2"
	"tailscale.com/control/controlhttp/controlhttpserver"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

const maxRequestBytes = 1 << 20

func (t *Tailnet) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /key", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, &tailcfg.OverTLSPublicKeyResponse{PublicKey: t.noiseKey.Public()})
	})
	mux.HandleFunc("POST /ts2021", t.serveNoise)
	mux.HandleFunc("GET /generate_204",
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET "+loginPrefix+"{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "This is a test tailnet. Complete the login with complete-login and the URL %s%s\n",
			t.ControlURL(), r.URL.Path)
	})
	return mux
}

// serveNoise takes over the connection and serves HTTP/2 inside the encrypted channel; the peer has proved its machine
// key.
func (t *Tailnet) serveNoise(w http.ResponseWriter, r *http.Request) {
	t.streams.Add(1)
	defer t.streams.Done()
	conn, err := controlhttpserver.AcceptHTTP(r.Context(), w, r, t.noiseKey, nil)
	if err != nil {
		t.logf("control: the Noise handshake of %s failed: %v", r.RemoteAddr, err)
		return
	}
	defer conn.Close()
	(&http2.Server{}).ServeConn(conn, &http2.ServeConnOpts{
		Context:    t.ctx,
		BaseConfig: &http.Server{ErrorLog: logger.StdLogger(t.logf)},
		Handler:    t.machineHandler(conn.Peer()),
	})
}

func (t *Tailnet) machineHandler(machine key.MachinePublic) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /machine/register", func(w http.ResponseWriter, r *http.Request) {
		var request tailcfg.RegisterRequest
		if err := readJSON(r, &request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if response, ok := t.register(r.Context(), machine, &request); ok {
			answerJSON(w, response)
		}
	})
	mux.HandleFunc("POST /machine/map", func(w http.ResponseWriter, r *http.Request) {
		var request tailcfg.MapRequest
		if err := readJSON(r, &request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		t.serveMap(w, r, machine, &request)
	})
	mux.HandleFunc("POST /machine/update-health", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, io.LimitReader(r.Body, maxRequestBytes))
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func readJSON(r *http.Request, into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBytes+1))
	switch {
	case err != nil:
		return fmt.Errorf("cannot read the request: %w", err)
	case len(body) > maxRequestBytes:
		return errors.New("the request is longer than 1 MiB")
	}
	return json.Unmarshal(body, into)
}

func answerJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(value)
}
