// How values become text; the same texts as nas/formatting.py.

const format = (() => {
  const MISSING = "–";
  const PREFIXES = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const isMissing = (value) => value === null || value === undefined || Number.isNaN(value);

  function threeDigits(value) {
    const magnitude = Math.abs(value);
    if (magnitude >= 1000) return value.toFixed(0);
    if (magnitude >= 1) return value.toFixed(magnitude < 10 ? 2 : magnitude < 100 ? 1 : 0);
    return String(Number(value.toPrecision(3)));
  }

  function digits(value) {
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
    const rounded = Number(value.toPrecision(3)); // before the prefix is chosen, so that 999,960 is 1.00 M
    for (const [factor, prefix] of PREFIXES)
      if (Math.abs(rounded) >= factor) return `${threeDigits(rounded / factor)} ${prefix}`;
    return Number.isInteger(value) ? String(value) : threeDigits(rounded);
  }

  /** `si(1234567, "MACs")` is "1.23 M MACs". */
  const si = (value, unit = "") => isMissing(value) ? MISSING : `${digits(value)} ${unit}`.trimEnd();
  /** `si` without zeros at the end: "10 k" where `si` writes "10.0 k". */
  const brief = (value, unit = "") => si(value, unit).replace(/(\.\d*?)0+(?= |$)/, "$1").replace(/\.(?= |$)/, "");
  const ratio = (value) => isMissing(value) ? MISSING : value.toFixed(4);
  const percent = (value, places = 0) => isMissing(value) ? MISSING : `${(100 * value).toFixed(places)} %`;
  const integer = (value) => isMissing(value) ? MISSING : Math.round(value).toLocaleString("en");
  /** Something per hour: "2,280", "12.5", "0.4". */
  const rate = (value) => isMissing(value) ? MISSING : Math.abs(value) < 100 ? digits(value) : integer(value);
  const count = (number, noun) => `${integer(number)} ${noun}${number === 1 ? "" : "s"}`;
  const two = (number) => String(number).padStart(2, "0");

  /** "4.2 s", "1 min 05 s", "2 h 03 min", "3 d 04 h". */
  function duration(seconds) {
    if (isMissing(seconds)) return MISSING;
    if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
    const whole = Math.round(seconds);
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
    const minutes = Math.round(seconds / 60);
    if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
    const hours = Math.round(seconds / 3600);
    return `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
  }

  /** About how long: "40 s", "25 min", "3 h", "2 d". */
  function roughly(seconds) {
    if (isMissing(seconds)) return MISSING;
    const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([factor]) => seconds >= 1.5 * factor) || [1, "s"];
    const number = seconds / size;
    return `${number < 5 && unit !== "s" && unit !== "min" ? Number(number.toFixed(1)) : Math.round(number)} ${unit}`;
  }

  /** Seconds since 1970 as "2026-11-25 14:03:07", local time. */
  function datetime(seconds) {
    if (isMissing(seconds)) return MISSING;
    const time = new Date(1000 * seconds);
    const date = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-");
    return `${date} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":")}`;
  }

  /**
   * The number that a person wrote: "50 M", "50e6", "2k", "1,000", ".9", "90 %", also with `unit` behind it; NaN if it is none.
   */
  function parsed(text, unit = "") {
    const match = /^([+-]?(?:\d[\d,_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([kKMGTP]?)(?![a-zA-Z])\s*(.*)$/.exec(withoutUnit(text.trim(), unit));
    if (!match || (match[3] && match[3] !== "%")) return NaN;
    const prefix = match[2].replace("K", "k"), factor = prefix ? PREFIXES.find(([, name]) => name === prefix)[0] : 1;
    return Number(match[1].replace(/[,_]/g, "")) * factor / (match[3] ? 100 : 1);
  }

  function withoutUnit(text, unit) {
    const hasUnit = unit && text.toLowerCase().endsWith(unit.toLowerCase());
    return hasUnit ? text.slice(0, -unit.length).trim() : text;
  }

  const WRITERS = { int: integer, si, ratio, seconds: duration, datetime };

  /** A value of `field` (see nas/page/fields.py); with its unit unless `unit` is false. */
  function value(field, number, unit = true) {
    if (field.kind === "bool") return number ? "yes" : "no";
    const text = (WRITERS[field.format] || String)(number);
    return unit && field.unit && field.format === "si" && !isMissing(number) ? `${text} ${field.unit}` : text;
  }

  /** "validation accuracy", "MACs", "throughput (images/s)". */
  const heading = (field) => field.unit && field.unit !== field.label && field.unit !== "s" ? `${field.label} (${field.unit})` : field.label;

  const capitalised = (text) => text ? text[0].toUpperCase() + text.slice(1) : text;

  /** Text for plotly, which reads some markup in hover boxes, tick labels and titles. */
  const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  return { MISSING, parsed, si, brief, ratio, percent, integer, rate, count, duration, roughly, datetime, value, heading, capitalised, escaped };
})();
