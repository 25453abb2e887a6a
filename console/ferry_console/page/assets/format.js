// Numbers, ages and times as people read them; a dash is what isn't known.

const WHOLE = new Intl.NumberFormat("en");
const ONE_DIGIT = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export function count(number) {
  return number === null || number === undefined ? "-" : WHOLE.format(number);
}

export function rate(number) {
  if (number === null || number === undefined) return "-";
  return number < 100 ? ONE_DIGIT.format(number) : WHOLE.format(Math.round(number));
}

export function short(number) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (number >= size) return ONE_DIGIT.format(number / size) + unit;
  }
  return ONE_DIGIT.format(number);
}

export function age(seconds) {
  if (seconds === null || seconds === undefined) return "-";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  for (const [size, unit, part, partUnit] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (whole >= size) {
      const rest = Math.floor((whole % size) / part);
      return `${Math.floor(whole / size)} ${unit}` + (rest ? ` ${rest} ${partUnit}` : "");
    }
  }
  return "";
}

export function clock(milliseconds) {
  return new Date(milliseconds).toISOString().slice(11, 19);
}
