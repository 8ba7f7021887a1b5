// Where the page gets its studies: from the page itself (a report) or from a server (the dashboard).
//
// A source has `isLive`, `studies()` (entries of the start page), `load(key)` (a document), `subscribe(key, onChange)` (returns a
// function that ends it), `detail(key, trial)`, `pictures(key, detail)`, `contactSheet(key)`, `setNote(key, trial, text)` and `setPin(key, trial, isPinned)`.

const source = (() => {
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
      return this.data.documents[key];
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

  function open() {
    const inline = document.getElementById("data");
    return new InlineSource(JSON.parse(inline.textContent));
  }

  return { open };
})();
