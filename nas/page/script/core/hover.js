// The box beside the pointer that describes a point of a figure. It is the page's own, so that its text is never read as markup.

const hoverBox = (() => {
  const GAP_PX = 14;
  const box = element("div", { class: "hover-box", role: "tooltip", hidden: true });

  /** Show `nodes` beside the pointer of `event`. */
  function show(nodes, event) {
    if (!box.isConnected) document.body.append(box);
    box.replaceChildren(...nodes);
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    const x = event.clientX + GAP_PX, y = event.clientY + GAP_PX;
    box.style.left = `${x + width > innerWidth ? Math.max(0, event.clientX - GAP_PX - width) : x}px`;
    box.style.top = `${y + height > innerHeight ? Math.max(0, event.clientY - GAP_PX - height) : y}px`;
  }

  function hide() {
    box.hidden = true;
  }

  return { show, hide };
})();
