// The drivers of a study (nas/page/drivers.py): where they run, whether they live, and what they train.

const driverTable = (() => {
  const MAX_TRIALS = 12;

  /** What became of a driver; one that holds the lock of the folder needs no heartbeat. */
  function condition({ is_alive: isAlive, heard_s: heard }) {
    if (isAlive) return "searches";
    return heard === null ? "has ended" : `lost, last heard of ${format.datetime(heard)}`;
  }

  function trials(numbers) {
    const rest = numbers.length - MAX_TRIALS, listed = numbers.slice(0, MAX_TRIALS).join(", ");
    return numbers.length ? `${listed}${rest > 0 ? ` and ${format.integer(rest)} more` : ""}` : format.MISSING;
  }

  function mount(root, view) {
    const body = element("div", { class: "scroll" });
    root.append(element("h2", {}, "Drivers"), body);

    function update({ data }) {
      if (!data) return;
      const { drivers } = view.study;
      root.hidden = !drivers.length;
      const rows = drivers.map((driver) => [driver.host, String(driver.pid), format.datetime(Date.parse(driver.since) / 1000), condition(driver), trials(driver.trials)]);
      body.replaceChildren(dom.table("Processes that search this study", ["machine", "process", "since", "state", "runs trials"], rows));
    }

    return { update };
  }

  return { mount };
})();
