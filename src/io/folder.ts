/** A folder of files read whole. */

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'

/** Keyed by path below the folder, with `/`; empty where there is no such folder. */
export function readFolder(folder: string): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  const visit = (at: string): void => {
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      const path = join(at, entry.name)
      if (entry.isDirectory()) visit(path)
      else if (entry.isFile()) files.set(relative(folder, path).split(sep).join('/'), readFileSync(path))
    }
  }
  try {
    visit(folder)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown
  }
  return files
}
