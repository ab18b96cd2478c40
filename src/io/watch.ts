/** Files that are looked at again and again: one that is replaced, renamed over or reached through a changed link counts as changed. */

import { unwatchFile, watchFile, type Stats } from 'node:fs'

/** By looking, not by the system's events: these miss what a link leads to, and differ between systems. Does not keep the process alive. Returns what ends it. */
export function watchFiles(paths: readonly string[], everyMs: number, onChange: () => void): () => void {
  const looked = (now: Stats, before: Stats): void => {
    if (now.mtimeMs !== before.mtimeMs || now.size !== before.size || now.ino !== before.ino) onChange()
  }
  for (const path of paths) watchFile(path, { interval: everyMs, persistent: false }, looked)
  return () => {
    for (const path of paths) unwatchFile(path, looked)
  }
}
