// Panel "Retrained": the networks after their full trainings (nas/analysis/retrained.py), beside baselines trained alike.

definePanel({
  id: "retrained",
  title: "Retrained",
  order: 4.5,
  mount(root, view) {
    const SPLITS = [["val", "validation split"], ["test", "test split"]];
    const hint = element("p", { class: "about" }), picker = element("div", { class: "controls" }), words = element("p", { class: "about", role: "status" });
    const figure = element("div", { class: "figure" }), tableBox = element("div", { class: "scroll" });
    const rankBox = element("div", {}, element("h3", {}, "Accuracy in the search and after retraining")), rankWords = element("p", { class: "about" }), rankFigure = element("div", { class: "figure" });
    const curvesBox = element("div"), remarks = element("div");
    rankBox.append(rankWords, rankFigure);
    const shown = element("div", {}, picker, words, figure, tableBox, element("div", { class: "figures" }, rankBox, curvesBox));
    root.append(hint, shown, remarks);

    const chosen = (name, entries, fallback) => entries.some(([key]) => key === view.state.get(name)) ? view.state.get(name) : fallback;

    /** The recipe with the most networks first. */
    function recipeChoices({ recipes, models }) {
      const count = ({ digest }) => models.filter((model) => model.recipe === digest).length;
      return [...recipes].sort((a, b) => count(b) - count(a)).map((recipe) => [recipe.digest, `${format.count(recipe.epochs, "epoch")}, ${recipe.digest.slice(0, 6)} (${format.count(count(recipe), "network")})`]);
    }

    function drawPicker(recipes, recipe, split) {
      if (picker.contains(document.activeElement)) return;
      const set = (name) => (value) => view.state.set({ [name]: value });
      picker.replaceChildren(...[
        recipes.length > 1 ? dom.select("recipe", recipes, recipe, set("recipe")) : null,
        dom.select("accuracy on the", SPLITS, split, set("split")),
      ].filter(Boolean));
    }

    function drawRank(study, models, { tau }) {
      const trials = retrainedFront.ranked(study, models);
      rankBox.hidden = trials.length < 2;
      if (rankBox.hidden) return;
      const interval = tau && tau.low !== null ? `, 95 % interval ${tau.low.toFixed(2)} to ${tau.high.toFixed(2)}` : "";
      rankWords.textContent = tau && tau.value !== null
        ? `Kendall tau ${tau.value.toFixed(2)}${interval}, over ${format.count(trials.length, "trial")}. Those of a front differ little, which makes them hard to rank.`
        : "Too few trials were retrained from scratch for a rank correlation.";
      plot.draw(rankFigure, () => retrainedFront.describeRank(study, trials), { onselect: view.select, label: "Accuracy after retraining against accuracy in the search" });
    }

    function update({ data, names }) {
      if (!data && !names.some((name) => ["recipe", "split"].includes(name))) return;
      const { study } = view, { models, recipes, remarks: lines } = study.retrained;
      dom.refill(remarks, lines.map((text) => element("p", { class: "about" }, text)));
      shown.hidden = !models.length;
      hint.hidden = models.length > 0;
      const command = `nas retrain --front --study ${study.folder || "DIR"}`;
      if (!models.length) return hint.replaceChildren(...dom.withCode(`No network of this study was trained in full yet: \`${command}\` trains those of the front, and \`--baseline resnet18\` others by the same recipe.`));
      const choices = recipeChoices(study.retrained), digest = chosen("recipe", choices, choices[0][0]), split = chosen("split", SPLITS, "val");
      const recipe = recipes.find((entry) => entry.digest === digest), members = models.filter((model) => model.recipe === digest);
      drawPicker(choices, digest, split);
      words.textContent = retrainedFront.sentence(members, split);
      plot.draw(figure, () => retrainedFront.describe(members, split), { zoom: "zoom.retrained", shown: `${digest.slice(0, 6)},${split}`, onselect: view.select, label: "Accuracy after the full training against MACs" });
      dom.refill(tableBox, [retrainedFront.table(view, members, recipe)]);
      drawRank(study, members, recipe);
      curvesBox.replaceChildren(...retrainedFront.curves(members));
      return undefined;
    }

    return { update };
  },
});
