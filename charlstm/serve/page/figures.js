// Figures, sizes and times as a person reads them, in the language of the page.

import { LANGUAGE, t } from "./strings.js";

const whole = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(LANGUAGE, {
  notation: "compact",
  maximumSignificantDigits: 3,
});
const percent = new Intl.NumberFormat(LANGUAGE, { style: "percent", maximumSignificantDigits: 2 });
const hundredths = new Intl.NumberFormat(LANGUAGE, { style: "percent", maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(LANGUAGE, {
  style: "percent",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});
const day = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat(LANGUAGE, { timeStyle: "short" });

/** @param {number} value @returns {string} */
export const shownWhole = (value) => whole.format(value);

/** @param {number} value @returns {string} */
export const shownShort = (value) => (value < 100_000 ? whole : short).format(value);

/** @param {number} share 0 to 1 @returns {string} */
export const shownPercent = (share) => percent.format(share);

/** @param {number} share 0 to 1, of something that is being done @returns {string} */
export const shownDone = (share) => hundredths.format(Math.floor(share * 100) / 100);

/** @param {number} share 0 to 1 @returns {string} */
export const shownTenths = (share) => tenths.format(share);

/**
 * A figure with as many decimals as it is read with; a dash for none.
 * @param {number|null|undefined} value
 * @param {number} decimals
 * @returns {string}
 */
export function shownFigure(value, decimals) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toLocaleString(LANGUAGE, {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
}

/**
 * @param {number} bytes
 * @returns {string}
 */
export function shownBytes(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const maximumFractionDigits = value < 10 && unit ? 1 : 0;
  const style = { style: "unit", unit: units[unit], unitDisplay: "short", maximumFractionDigits };
  return value.toLocaleString(LANGUAGE, style);
}

/**
 * When something was: the time if it was today, else the day.
 * @param {number} seconds since 1970
 * @returns {string}
 */
export function shownWhen(seconds) {
  const then = new Date(seconds * 1000);
  const today = then.toDateString() === new Date().toDateString();
  return today ? t("today", { time: clock.format(then) }) : day.format(then);
}

/**
 * How long something takes, as roughly as one would say it.
 * @param {number} seconds
 * @returns {string}
 */
export function shownDuration(seconds) {
  if (seconds < 90) return t("seconds", { n: Math.max(1, Math.round(seconds)) });
  if (seconds < 5400) return t("minutes", { n: Math.round(seconds / 60) });
  return t("hours", { n: shownFigure(seconds / 3600, 1) });
}
