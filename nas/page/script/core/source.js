// Where the page gets its studies: from the page itself (a report) or from a server (the dashboard).
//
// A source has `isLive`, `studies()` (entries of the start page), `load(key)` (a document), `subscribe(key, handlers)` (returns a
// function that ends it), `detail(key, trial)`, `pictures(key, detail)`, `contactSheet(key)`, `setNote(key, trial, text)` and
// `setPin(key, trial, isPinned)`; a live one has `subscribeStudies(handlers)` and `errorText(key, trial)`, too. What fails rejects
// with an `Error` whose message is for people; it has the `status` that the server answered.
// Handlers of a study: `change(change)`, `load(document)` (the study is another now), `problem(text)` (it cannot be read; "" when it
// can again) and `connection(text)` ("" while the page hears the server). Those of the list: `studies(entries)` and `connection`.

const source = (() => {
  const FIRST_DELAY_MS = 250;
  const MAX_DELAY_MS = 5000;

  /** Base64 of gzipped JSON -> value. */
  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  class InlineSource {
    constructor(data) {
      this.isLive = false;
      this.data = data;
      this.chunks = new Map();
    }

    async studies() {
      return Object.entries(this.data.documents).map(([key, { name }]) => ({ key, name }));
    }

    async load(key) {
      const found = this.data.documents[key];
      return found.packed ? unpacked(found.packed) : found;
    }

    subscribe() {
      return () => {};
    }

    /** A few images of each class (nas/page/contact_sheet.py); null if there are none. */
    async contactSheet(key) {
      return (this.data.contactSheets || {})[key] || null;
    }

    /** A trial in detail (nas/page/detail.py); null if the page has none. Chunks (nas/page/detail_chunks.py) are unpacked once. */
    async detail(key, trial) {
      const details = this.data.details && this.data.details[key];
      if (!details) return null;
      const index = Math.floor(trial / details.size), at = trial % details.size;
      if (!details.chunks[index]) return null;
      const columns = await this.unpacked(`${key} ${index}`, details.chunks[index]);
      return Object.fromEntries(Object.entries(columns).filter(([, values]) => values[at] !== null).map(([name, values]) => [name, values[at]]));
    }

    /** The pictures of the blocks in `detail.channels`; null for a block without a picture. */
    async pictures(key, detail) {
      const all = await this.unpacked(`${key} pictures`, this.data.details[key].pictures);
      return detail.channels.map(({ picture }) => picture === undefined ? null : all[picture]);
    }

    unpacked(name, text) {
      if (!this.chunks.has(name)) this.chunks.set(name, unpacked(text));
      return this.chunks.get(name);
    }
  }

  /** The JSON at `address`; `body`, if given, is sent there. */
  async function fetchJson(address, body) {
    const options = body ? { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify(body) } : {};
    let response;
    try {
      response = await fetch(address, options);
    } catch {
      throw new Error("The server does not answer; is `nas dashboard` still running?");
    }
    const data = await response.json().catch(() => ({}));
    if (!response.ok) throw Object.assign(new Error(data.error || `The server answered ${response.status}.`), { status: response.status });
    return data;
  }

  /**
   * Server-sent events, connected again whenever the connection is lost, from the last event on. A hidden page is not connected: a
   * browser has six connections to a server, for all its pages.
   */
  class Stream {
    /** `address(id)` is that of the stream after the event `id`; `handlers` are by type of event. */
    constructor(address, id, handlers, onConnection) {
      Object.assign(this, { address, id, handlers, onConnection, delay: FIRST_DELAY_MS, events: null, timer: 0 });
      this.onVisibility = () => this.adapt();
      document.addEventListener("visibilitychange", this.onVisibility);
      this.adapt();
    }

    adapt() {
      if (document.hidden) this.disconnect();
      else if (!this.events) this.connect();
    }

    connect() {
      clearTimeout(this.timer);
      const events = new EventSource(this.address(this.id));
      this.events = events;
      events.onopen = () => {
        this.delay = FIRST_DELAY_MS;
        this.onConnection("");
      };
      events.onerror = () => this.retry();
      for (const [type, handle] of Object.entries(this.handlers)) {
        events.addEventListener(type, (event) => {
          this.id = event.lastEventId || this.id;
          handle(JSON.parse(event.data));
        });
      }
    }

    retry() {
      this.disconnect();
      this.onConnection("Connection lost, retrying …");
      this.timer = setTimeout(() => this.adapt(), this.delay);
      this.delay = Math.min(2 * this.delay, MAX_DELAY_MS);
    }

    disconnect() {
      clearTimeout(this.timer);
      if (this.events) this.events.close();
      this.events = null;
    }

    close() {
      document.removeEventListener("visibilitychange", this.onVisibility);
      this.disconnect();
    }
  }

  class LiveSource {
    constructor() {
      this.isLive = true;
      this.cursors = new Map(); // study -> the cursor of its document
    }

    async studies() {
      return (await fetchJson("api/studies")).studies;
    }

    subscribeStudies({ studies, connection }) {
      const stream = new Stream(() => "api/studies/events", "", { studies: (data) => studies(data.studies) }, connection);
      return () => stream.close();
    }

    async load(key) {
      const study = await fetchJson(pathOf(key));
      this.cursors.set(key, study.cursor);
      return study;
    }

    subscribe(key, { change, load, problem, connection }) {
      const address = (cursor) => `${pathOf(key)}/events?cursor=${encodeURIComponent(cursor)}`;
      let isOpen = true;
      const stream = new Stream(address, this.cursors.get(key), {
        changes: change,
        gone: ({ error }) => problem(error),
        unreadable: ({ error }) => problem(error),
        back: () => problem(""),
        reload: () => reload(),
      }, connection);
      const reload = async () => {
        try {
          const study = await this.load(key);
          if (!isOpen) return;
          stream.id = study.cursor;
          problem("");
          load(study);
          stream.disconnect();
          stream.adapt();
        } catch (error) {
          if (isOpen) stream.retry();
        }
      };
      return () => {
        isOpen = false;
        stream.close();
      };
    }

    detail(key, trial) {
      return fetchJson(`${pathOf(key)}/trials/${trial}`);
    }

    contactSheet(key) {
      return fetchJson(`${pathOf(key)}/contact-sheet`);
    }

    pictures(key, { number }) {
      return fetchJson(`${pathOf(key)}/trials/${number}/pictures`);
    }

    async errorText(key, trial) {
      return (await fetchJson(`${pathOf(key)}/trials/${trial}/error`)).text;
    }

    setNote(key, trial, text) {
      return fetchJson(`${pathOf(key)}/trials/${trial}/note`, { text });
    }

    setPin(key, trial, isPinned) {
      return fetchJson(`${pathOf(key)}/trials/${trial}/pin`, { pinned: isPinned });
    }
  }

  const pathOf = (key) => `api/studies/${encodeURIComponent(key)}`;

  /** The source of this page. The token of a server is in a cookie by now, and leaves the address. */
  function open() {
    const inline = document.getElementById("data");
    if (inline) return new InlineSource(JSON.parse(inline.textContent));
    if (location.search) history.replaceState(null, "", location.pathname + location.hash);
    return new LiveSource();
  }

  return { open };
})();
