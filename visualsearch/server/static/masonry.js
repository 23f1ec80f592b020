// Where the tiles of a grid stand: each in the shortest column, in the order of their rank. Numbers only, no elements.

const SAME = 4; // pixels that make no column shorter

export class Masonry {
  constructor() {
    this.items = []; // {pin, text, column, row, y, height, shown}
    this.columns = 0;
    this.each = 0; // width of a column
    this.gap = 0;
    this.texts = { sum: 0, n: 0 };
  }

  /** Take the columns' number, width and gap; whether anything has changed. */
  shape(columns, each, gap) {
    if (columns === this.columns && each === this.each && gap === this.gap) return false;
    this.free(0);
    Object.assign(this, { columns, each, gap });
    return true;
  }

  /** From item number `first` on, a column is chosen anew. */
  free(first) {
    for (let at = first; at < this.items.length; at += 1) this.items[at].column = -1;
  }

  /** Keep the measured height of what stands under a tile's picture; whether it is another one than was thought. */
  measured(item, text) {
    const thought = item.text ?? this.guess();
    if (item.text === null) {
      this.texts.sum += text;
      this.texts.n += 1;
    }
    item.text = text;
    return Math.abs(thought - text) > 0.5;
  }

  guess() { return this.texts.n ? this.texts.sum / this.texts.n : 60; }

  /** Place all items. `ratio(pin)` is height / width of a picture. Returns the height of all. */
  place(ratio) {
    const bottoms = new Array(this.columns).fill(0);
    const rows = new Array(this.columns).fill(0);
    const guess = this.guess();
    for (const item of this.items) {
      if (item.column < 0) item.column = shortest(bottoms);
      const { column } = item;
      item.picture = Math.round(this.each * ratio(item.pin));
      item.height = item.picture + (item.text ?? guess);
      item.y = Math.round(bottoms[column]);
      item.row = rows[column];
      rows[column] += 1;
      bottoms[column] += item.height + this.gap;
    }
    return Math.max(0, ...bottoms);
  }

  /** Numbers of the items that stand between two heights. */
  between(top, bottom) {
    const found = [];
    this.items.forEach((item, at) => { if (item.y < bottom && item.y + item.height > top) found.push(at); });
    return found;
  }
}

function shortest(bottoms) {
  let column = 0;
  for (let other = 1; other < bottoms.length; other += 1) if (bottoms[other] < bottoms[column] - SAME) column = other;
  return column;
}
