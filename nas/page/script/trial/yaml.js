// Plain JSON as YAML.

const yaml = (() => {
  const PLAIN = /^[A-Za-z_][\w.-]*$/;
  const RESERVED = /^(?:true|false|null|yes|no|on|off|y|n)$/i;

  function scalar(value) {
    if (typeof value !== "string") return String(value);
    return PLAIN.test(value) && !RESERVED.test(value) ? value : JSON.stringify(value);
  }

  const isEmpty = (value) => typeof value !== "object" || value === null || Object.keys(value).length === 0;

  function emptyText(value) {
    if (Array.isArray(value)) return "[]";
    return typeof value === "object" && value !== null ? "{}" : scalar(value);
  }

  function lines(value, indent) {
    if (Array.isArray(value)) return value.flatMap((item) => {
      if (isEmpty(item)) return [`${indent}- ${emptyText(item)}`];
      const [first, ...rest] = lines(item, `${indent}  `);
      return [`${indent}- ${first.slice(indent.length + 2)}`, ...rest];
    });
    return Object.entries(value).flatMap(([key, item]) => {
      if (isEmpty(item)) return [`${indent}${scalar(key)}: ${emptyText(item)}`];
      return [`${indent}${scalar(key)}:`, ...lines(item, Array.isArray(item) ? indent : `${indent}  `)];
    });
  }

  /** A mapping or a list as YAML, one line for each value. */
  const text = (value) => isEmpty(value) ? `${emptyText(value)}\n` : `${lines(value, "").join("\n")}\n`;

  return { text };
})();
