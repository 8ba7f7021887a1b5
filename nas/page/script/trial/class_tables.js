// How well a tested trial tells each class: recalls, confusions and the confusion matrix.

const classTables = (() => {
  const table = (caption, heads, rows) => element("table", { class: "class-table" }, element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...heads.map((head, i) => element("th", { scope: "col", class: i && head !== "taken for" ? "number" : null }, head)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, i) => element("td", { class: i && heads[i] !== "taken for" ? "number" : null }, cell))))));

  function recallCell(recall) {
    const fill = element("i");
    fill.style.width = `${100 * (recall || 0)}%`;
    return element("span", { class: "recall" }, element("span", { class: "share-bar" }, fill), format.ratio(recall));
  }

  /** A cell for each pair of classes; the darker, the larger its share of the row's images. */
  function matrix(names, counts) {
    const rows = counts.map((row, i) => {
      const total = row.reduce((sum, value) => sum + value, 0) || 1;
      return element("tr", {}, element("th", { scope: "row" }, names[i]), ...row.map((value, j) => {
        const cell = element("td", { title: `${format.count(value, "image")} of ${names[i]} taken for ${names[j]}` }, value ? String(value) : "");
        cell.style.setProperty("--share", value / total);
        cell.classList.add(i === j ? "right" : "wrong");
        cell.classList.toggle("strong", value / total > 0.55);
        return cell;
      }));
    });
    const heads = element("tr", {}, element("td"), ...names.map((name) => element("th", { scope: "col" }, element("span", {}, name))));
    return element("div", { class: "scroll" }, element("table", { class: "confusion-matrix" }, element("caption", {}, "Confusion matrix: class (rows) and prediction (columns)"), element("thead", {}, heads), element("tbody", {}, ...rows)));
  }

  /** A section of `detail.classes` (nas/page/classes.py). */
  function draw({ summary, recalls, confusions, names, matrix: counts }) {
    return element("section", { class: "trial-section" }, element("h3", {}, "Classes"), element("p", { class: "about" }, summary),
      counts ? matrix(names, counts) : null,
      table("Recall, the lowest first", ["class", "images", "recall"], recalls.map(([name, images, recall]) => [name, format.integer(images), recallCell(recall)])),
      confusions.length ? table("Most frequent confusions", ["class", "taken for", "images"], confusions.map(([name, other, images]) => [name, other, format.integer(images)])) : null);
  }

  return { draw };
})();
