// A headless Chromium for tests of the page, driven by the DevTools protocol over its websocket. Only drives; what is
// expected is up to the test.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const START_MS = 30_000;
const CALL_MS = 30_000;
const END_MS = 5_000;
const POLL_MS = 25;
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
  "--hide-scrollbars",
  "--remote-debugging-port=0",
];

/** The installed executable; undefined skips the tests. */
export const chromium: string | undefined = Bun.which("chromium") ?? Bun.which("chromium-browser") ?? undefined;

export interface PageOptions {
  width: number;
  height: number;
  dark?: boolean;
  /** With false the page runs no script. */
  script?: boolean;
}

interface Waiting {
  resolve: (result: Record<string, unknown>) => void;
  reject: (error: Error) => void;
}

type Listener = (method: string, params: Record<string, unknown>) => void;

export class Browser implements AsyncDisposable {
  readonly #child;
  readonly #folder: string;
  #socket: WebSocket | undefined;
  #lastId = 0;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Map<string, Listener>();

  /** Starts one with an empty profile. */
  static async start(): Promise<Browser> {
    if (chromium === undefined) throw new Error("there is no chromium in PATH");
    const browser = new Browser(chromium);
    try {
      await browser.#connect();
      return browser;
    } catch (error) {
      await browser[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(executable: string) {
    this.#folder = mkdtempSync(join(tmpdir(), "cairn-chromium-"));
    this.#child = Bun.spawn({
      cmd: [executable, ...FLAGS, `--user-data-dir=${this.#folder}`, "about:blank"],
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: this.#folder, TMPDIR: this.#folder },
      stdio: ["ignore", "ignore", "ignore"],
    });
  }

  /** Opens a new tab of that size. */
  async page(options: PageOptions): Promise<Page> {
    const { targetId } = await this.call("Target.createTarget", { url: "about:blank" });
    const attached = await this.call("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, String(attached["sessionId"]), String(targetId));
    await page.prepare(options);
    return page;
  }

  /** Opens a new tab for `body`, and closes it whatever becomes of that. */
  async withPage(options: PageOptions, body: (page: Page) => Promise<void>): Promise<void> {
    const page = await this.page(options);
    try {
      await body(page);
    } finally {
      await page.close();
    }
  }

  /** Makes one call of the protocol, to the browser or to the session of a tab. */
  async call(method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> {
    const socket = this.#socket;
    if (socket === undefined) throw new Error("the browser is not connected");
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
    this.#waiting.set(id, { resolve, reject });
    const timer = setTimeout(() => reject(new Error(`chromium did not answer ${method} in ${CALL_MS} ms`)), CALL_MS);
    try {
      socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Subscribes to the events of a tab. */
  listen(sessionId: string, listener: Listener): void {
    this.#listeners.set(sessionId, listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.close();
    this.#child.kill("SIGTERM");
    const late = setTimeout(() => this.#child.kill("SIGKILL"), END_MS);
    await this.#child.exited;
    clearTimeout(late);
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #connect(): Promise<void> {
    const deadline = Date.now() + START_MS;
    let address: string | undefined;
    while (address === undefined) {
      if (this.#child.exitCode !== null) throw new Error(`chromium ended with ${this.#child.exitCode}`);
      if (Date.now() > deadline) throw new Error(`chromium did not start in ${START_MS} ms`);
      await Bun.sleep(POLL_MS);
      address = this.#address();
    }
    const socket = new WebSocket(address);
    const opened = Promise.withResolvers<void>();
    socket.onopen = () => opened.resolve();
    socket.onerror = () => opened.reject(new Error(`cannot connect to chromium at ${address}`));
    socket.onmessage = (event) => this.#receive(JSON.parse(String(event.data)));
    socket.onclose = () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("chromium went away"));
    };
    await opened.promise;
    this.#socket = socket;
  }

  /** Chromium writes its port and path into the profile once it listens. */
  #address(): string | undefined {
    try {
      const [port, path] = readFileSync(join(this.#folder, "DevToolsActivePort"), "utf8").split("\n");
      return port !== undefined && path !== undefined && path !== "" ? `ws://127.0.0.1:${port}${path}` : undefined;
    } catch {
      return undefined;
    }
  }

  #receive(message: {
    id?: number;
    result?: Record<string, unknown>;
    error?: { message: string };
    method?: string;
    params?: Record<string, unknown>;
    sessionId?: string;
  }): void {
    if (message.id === undefined) {
      if (message.sessionId !== undefined && message.method !== undefined)
        this.#listeners.get(message.sessionId)?.(message.method, message.params ?? {});
      return;
    }
    const waiting = this.#waiting.get(message.id);
    if (message.error !== undefined) waiting?.reject(new Error(message.error.message));
    else waiting?.resolve(message.result ?? {});
  }
}

export class Page {
  /** Problems that the page and the browser reported: console lines, broken policies, exceptions. */
  readonly complaints: string[] = [];
  /** Addresses of all requests. */
  readonly requests: string[] = [];
  /** How often a document was loaded. */
  loads = 0;
  readonly #browser: Browser;
  readonly #session: string;
  readonly #target: string;

  constructor(browser: Browser, session: string, target: string) {
    this.#browser = browser;
    this.#session = session;
    this.#target = target;
  }

  async prepare(options: PageOptions): Promise<void> {
    this.#browser.listen(this.#session, (method, params) => this.#hear(method, params));
    for (const domain of ["Page", "Runtime", "Log", "Network", "Audits"]) await this.#call(`${domain}.enable`);
    const { width, height } = options;
    await this.#call("Emulation.setDeviceMetricsOverride", {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: width < 600,
    });
    const scheme = { name: "prefers-color-scheme", value: options.dark === true ? "dark" : "light" };
    await this.#call("Emulation.setEmulatedMedia", { features: [scheme] });
    if (options.script === false) await this.#call("Emulation.setScriptExecutionDisabled", { value: true });
  }

  /** Opens an address and waits until the document is loaded. */
  async goto(url: string): Promise<void> {
    const before = this.loads;
    await this.#call("Page.navigate", { url });
    await this.#until(`${url} to load`, async () => this.loads > before, CALL_MS);
  }

  /** Returns the value of an expression in the page, which must be JSON. */
  async evaluate(expression: string): Promise<unknown> {
    const answer = await this.#call("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (answer["exceptionDetails"] !== undefined) throw new Error(JSON.stringify(answer["exceptionDetails"]));
    return (answer["result"] as { value?: unknown }).value;
  }

  /** Waits until an expression is true in the page. */
  async until(expression: string, withinMs = 10_000): Promise<void> {
    await this.#until(expression, async () => (await this.evaluate(expression)) === true, withinMs);
  }

  /** Presses a key, as `Tab` or `Enter`. */
  async press(key: string): Promise<void> {
    const code = { Tab: 9, Enter: 13 }[key] ?? 0;
    for (const type of ["keyDown", "keyUp"]) {
      const text = key === "Enter" && type === "keyDown" ? { text: "\r" } : {};
      await this.#call("Input.dispatchKeyEvent", { type, key, code: key, windowsVirtualKeyCode: code, ...text });
    }
  }

  /** Writes a screenshot into a PNG file. */
  async screenshot(path: string): Promise<void> {
    const answer = await this.#call("Page.captureScreenshot", { format: "png" });
    await Bun.write(path, Buffer.from(String(answer["data"]), "base64"));
  }

  async close(): Promise<void> {
    await this.#browser.call("Target.closeTarget", { targetId: this.#target });
  }

  #call(method: string, params: object = {}): Promise<Record<string, unknown>> {
    return this.#browser.call(method, params, this.#session);
  }

  async #until(what: string, done: () => Promise<boolean>, withinMs: number): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!(await done())) {
      if (Date.now() > deadline)
        throw new Error(`waited ${withinMs} ms for ${what}; the page said ${JSON.stringify(this.complaints)}`);
      await Bun.sleep(POLL_MS);
    }
  }

  #hear(method: string, params: Record<string, unknown>): void {
    if (method === "Page.loadEventFired") this.loads += 1;
    if (method === "Network.requestWillBeSent") this.requests.push((params["request"] as { url: string }).url);
    if (method === "Log.entryAdded") this.complaints.push((params["entry"] as { text: string }).text);
    if (method === "Runtime.exceptionThrown") this.complaints.push(JSON.stringify(params["exceptionDetails"]));
    if (method === "Runtime.consoleAPICalled") this.complaints.push(JSON.stringify(params["args"]));
    if (method === "Audits.issueAdded") {
      const { code } = params["issue"] as { code: string };
      if (code === "ContentSecurityPolicyIssue") this.complaints.push(JSON.stringify(params["issue"]));
    }
  }
}

/** Returns the expression that tells whether a page shows a text. */
export function shows(text: string): string {
  return `document.body.innerText.includes(${JSON.stringify(text)})`;
}
