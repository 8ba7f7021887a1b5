// The channel dependencies of a trial's blocks: in words, and drawn when they are unfolded.

const channelGraphs = (() => {
  const ABOUT = "The channel dependencies of one block of each stage, from its input channels (left) to its output channels (right). Within a ribbon, every output depends on every input. Channels of one colour depend on the same inputs of the block; after the first column, grey channels depend on all of them, as every output of a block must. One output and its dependencies are orange; point at another output to see its dependencies. The matrix below a column shows which inputs of the block (across) each of its channels (down) depends on.";

  /** Highlight what `output` depends on; `meta` is described in nas/figures/plot_channels.py. */
  function showDependency(div, meta, output) {
    const index = meta.groups.findIndex((outputs) => outputs.includes(output));
    if (index < 0) return;
    const paths = meta.dependencies[index], traces = paths.map((_, i) => meta.first + i);
    const at = (output + 0.5) / meta.outputs; // edges into the last column end at the output itself
    const y = paths.map((path) => path.y.map((value, i) => path.x[i] === meta.last ? at : value));
    Plotly.restyle(div, { x: paths.map(({ x }) => x), y }, traces);
  }

  function drawPicture(div, { data, layout }) {
    const { meta } = layout;
    const describe = () => {
      const copy = structuredClone({ data, layout }); // plotly changes the objects that it draws
      delete copy.layout.template;
      copy.layout.font.color = theme.colour("--soft");
      return { traces: copy.data, layout: copy.layout };
    };
    plot.draw(div, describe, { label: "Channel dependency graph of a block", config: { displayModeBar: false } });
    div.on("plotly_hover", ({ points }) => {
      const output = points[0].customdata;
      if (Number.isInteger(output)) showDependency(div, meta, output);
    });
  }

  function block({ title, path, reach, outside }) {
    const div = element("div", { class: "channel-picture" });
    const note = element("span");
    const figure = element("figure", { class: "block-graph" },
      element("h4", {}, format.capitalised(title)), element("div", { class: "path" }, path), div,
      element("figcaption", {}, element("b", {}, reach), outside ? ` ${outside}` : null, note));
    return { figure, div, note };
  }

  async function fill(blocks, load) {
    try {
      const pictures = await load();
      pictures.forEach((picture, i) => {
        const { div, note } = blocks[i];
        if (!picture) {
          div.remove();
          note.textContent = " A report has drawings of blocks of the front alone.";
          return;
        }
        div.classList.add("drawn");
        note.textContent = picture.note ? ` ${picture.note}` : "";
        drawPicture(div, picture);
      });
    } catch {
      for (const { div } of blocks) div.replaceChildren(element("p", { class: "about" }, "The drawing could not be loaded."));
    }
  }

  /** A section of the blocks in `detail.channels`; `load()` gives their pictures and is called when it is unfolded. */
  function draw(detail, load) {
    const blocks = detail.channels.map(block);
    const content = element("details", { class: "fold" }, element("summary", {}, "Channel dependency graphs"), element("p", { class: "about" }, ABOUT), ...blocks.map(({ figure }) => figure));
    content.addEventListener("toggle", () => fill(blocks, load), { once: true });
    return content;
  }

  return { draw };
})();
