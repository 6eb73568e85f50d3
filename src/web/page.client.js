// Keeps an open page fresh without reloading it: the stream says that something changed, the page is fetched again, and
// its parts are exchanged. The same happens while somebody types into a form that searches. Without this script the
// page is the same, only not live, and such a form has its button.
(() => {
  const badge = document.getElementById("live");
  let stream;
  let busy = false;
  let again = false;

  const show = (text) => {
    badge.hidden = false;
    badge.dataset.state = text;
    badge.textContent = text;
  };

  /** Exchanges what differs; keeps the focus on the link it was on. */
  const exchange = (fresh) => {
    for (const part of document.querySelectorAll("[data-part]")) {
      const next = fresh.getElementById(part.id);
      if (next === null || next.innerHTML === part.innerHTML) continue;
      const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      part.replaceChildren(...next.childNodes);
      if (focused !== null) part.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
    }
    document.body.dataset.live = fresh.body.dataset.live ?? "";
    document.body.dataset.again = fresh.body.dataset.again ?? "";
    wait();
  };

  /** What changes without a word of the stream is looked at again while the page is seen. */
  let waiting;
  const wait = () => {
    clearTimeout(waiting);
    const seconds = Number(document.body.dataset.again);
    if (seconds > 0 && !document.hidden) waiting = setTimeout(refresh, 1000 * seconds);
  };

  const refresh = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.status === 403) return location.reload();
      exchange(new DOMParser().parseFromString(await answer.text(), "text/html"));
      if (stream === undefined) open();
    } catch {
      show("offline");
      if (stream === undefined) setTimeout(refresh, 5000);
      else wait();
    } finally {
      busy = false;
      if (again) {
        again = false;
        refresh();
      }
    }
  };

  const close = () => {
    stream?.close();
    stream = undefined;
  };

  const open = () => {
    const address = document.body.dataset.live;
    if (!address || document.hidden) return;
    stream = new EventSource(address);
    stream.addEventListener("open", () => show("live"));
    for (const name of ["change", "tick"]) stream.addEventListener(name, refresh);
    stream.addEventListener("end", () => {
      close();
      setTimeout(refresh, 2000);
    });
    stream.addEventListener("error", () => {
      show("reconnecting");
      if (stream?.readyState !== EventSource.CLOSED) return;
      close();
      setTimeout(refresh, 5000);
    });
  };

  /** Pauses in typing that are shorter start no search. */
  const TYPING_MS = 200;

  /** Searches while somebody types: `data-typed` of the form names the part that says aloud how much was found. */
  const typed = (form) => {
    const said = document.getElementById(form.dataset.typed);
    let timer;
    let asking;
    const search = async () => {
      const fields = [...new FormData(form)].filter(([, value]) => value !== "");
      const address = `${form.getAttribute("action")}?${new URLSearchParams(fields)}`;
      asking = new AbortController();
      try {
        const answer = await fetch(address, { cache: "no-store", signal: asking.signal });
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (!answer.ok) {
          said.textContent = fresh.querySelector("#main p:not(.quiet)")?.textContent ?? "";
          return;
        }
        history.replaceState(null, "", address);
        exchange(fresh);
        if (stream === undefined) return;
        close();
        open();
      } catch (error) {
        if (error.name !== "AbortError") said.textContent = "offline";
      }
    };
    const stop = () => {
      clearTimeout(timer);
      asking?.abort();
    };
    form.addEventListener("input", () => {
      stop();
      timer = setTimeout(search, TYPING_MS);
    });
    form.addEventListener("submit", stop);
  };

  // A page in a hidden tab has no stream: browsers allow six connections to a host.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (stream === undefined) refresh();
  });
  for (const form of document.querySelectorAll("form[data-typed]")) typed(form);
  open();
  wait();
})();
