// Where the page gets its studies: from the page itself (a report) or from a server (the dashboard).
//
// A source has `isLive`, `studies()` (entries of the start page), `load(key)` (a document), `subscribe(key, onChange)` (returns a
// function that ends it), `detail(key, trial)`, `contactSheet(key)`, `setNote(key, trial, text)` and `setPin(key, trial, isPinned)`.

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

    /** Details are in gzipped chunks of `size` trials; null if the page has none. */
    async detail(key, trial) {
      const details = this.data.details && this.data.details[key];
      if (!details) return null;
      const index = Math.floor(trial / details.size);
      if (!this.chunks.has(index)) this.chunks.set(index, unpacked(details.chunks[index]));
      return (await this.chunks.get(index))[trial % details.size];
    }
  }

  function open() {
    const inline = document.getElementById("data");
    return new InlineSource(JSON.parse(inline.textContent));
  }

  return { open };
})();
