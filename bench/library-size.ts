// What gRPC adds to the Go library: it is built once more with a package in the place of native/eventgrpc that has the
// same names and does nothing, so that connect and protobuf are left out as far as nothing else needs them.

import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildCommand, ensureNative, megabytes, native } from "../scripts/native.ts";
import { host } from "../scripts/targets.ts";
import type { Row } from "./report.ts";
import type { Bench } from "./rows.ts";

const EMPTY = `package eventgrpc

import (
	"context"
	"net/http"
)

const IngestPath = "/none"

type Budget interface {
	Take(caller string, count int64) bool
	Give(caller string, count int64)
}
type Options struct {
	Transport      http.RoundTripper
	Caller         func(context.Context) string
	Streams, Bytes Budget
	Log            func(level, message string)
}
type Handler struct{ options Options }
type Refusal struct {
	Code, RetryAfter int
	Detail, Hint     string
}
type Answer struct {
	Status           int
	Text, RetryAfter string
}

func New(options Options) *Handler                                { return &Handler{options} }
func (h *Handler) ServeHTTP(_ http.ResponseWriter, _ *http.Request) {}
func Serves(string) bool                                          { return false }
func IsCall(*http.Request) bool                                   { return false }
func CodeOf(int) int                                              { return 0 }
func Refuse(http.ResponseWriter, Refusal)                         {}
func Ingest(context.Context, http.RoundTripper, string, http.Header, []byte) (Answer, error) {
	return Answer{}, nil
}
`;

/** Runs the row where it is wanted. */
export async function overLibrary(bench: Bench): Promise<Row[]> {
  if (!bench.wanted.has("library")) return [];
  if (host === undefined) throw new Error(`Cairn is not built for ${process.platform}-${process.arch}`);
  const whole = statSync(ensureNative(host, "library")).size;
  const folder = join(native, "eventgrpc");
  const stub = join(bench.data, "eventgrpc.go");
  writeFileSync(stub, EMPTY);
  const files = readdirSync(folder).filter((name) => name.endsWith(".go") && !name.endsWith("_test.go"));
  const overlay = join(bench.data, "overlay.json");
  // A file that is replaced by "" does not exist (go help build, -overlay).
  const replaced = Object.fromEntries(files.map((name, at) => [join(folder, name), at === 0 ? stub : ""]));
  writeFileSync(overlay, JSON.stringify({ Replace: replaced }));
  const { args, env } = buildCommand(host, "library");
  const path = join(bench.data, "library-without");
  bench.say("building the library without gRPC");
  const build = Bun.spawn({
    cmd: ["go", "build", "-C", native, ...args, "-overlay", overlay, "-o", path, "./cmd/lib"],
    env: { ...process.env, ...env, GOTOOLCHAIN: "local" },
    stderr: "pipe",
  });
  if ((await build.exited) !== 0) throw new Error(`go build: ${await new Response(build.stderr).text()}`);
  const without = statSync(path).size;
  return [
    {
      what: "the Go library, bytes of its file",
      against: "the same without gRPC",
      result: (whole / without).toFixed(3),
      goal: undefined,
      met: undefined,
      detail: `${megabytes(whole)} / ${megabytes(without)}: gRPC takes ${megabytes(whole - without)}`,
    },
  ];
}
