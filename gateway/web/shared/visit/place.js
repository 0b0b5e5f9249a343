// Names of places that a page knows only by id.

/**
 * A readable name of a location, from its id or from the id of something in it: `hill-side.lab` is
 * in "Hill side". A page has the names of its own location only.
 * @param {string} id
 */
export function placeName(id) {
  const words = id.split(".")[0].split(/[-_]+/).filter(Boolean).join(" ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
