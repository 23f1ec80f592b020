// What this browser keeps between visits. Where it may keep nothing, or is full, it lasts for the visit.

const memory = new Map();

export function read(name, otherwise = null) {
  if (memory.has(name)) return memory.get(name);
  try { return JSON.parse(localStorage.getItem(name)) ?? otherwise; } catch { return otherwise; }
}

/** Whether it is kept beyond this visit. */
export function write(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, JSON.stringify(value));
    memory.delete(name);
    return true;
  } catch {
    memory.set(name, value);
    return false;
  }
}
