/** The last configuration on disk, so that a proxy that starts while the control plane is gone serves all the same. */

import type { Log } from '#base/log'
import { readTextIfAny, writeAtomic } from '#io/files'
import type { View } from '#model/view'

/** Raised when the shape of a view changes: an older file is then no use. */
const format = 1
const fileIn = (folder: string): string => `${folder}/view.json`

/** Writes at most once in two seconds; a view that came meanwhile is the one written. */
export function keepView(folder: string, log: Log): (view: View) => void {
  let next: View | undefined
  let isBusy = false
  const write = async () => {
    isBusy = true
    while (next !== undefined) {
      const view = next
      next = undefined
      await writeAtomic(fileIn(folder), JSON.stringify({ format, view }), { mode: 0o600 }).catch((thrown: unknown) =>
        log.warn('the configuration cannot be kept on disk: a restart needs the control plane', { error: String(thrown) }),
      )
      await new Promise(resolve => setTimeout(resolve, 2000).unref())
    }
    isBusy = false
  }
  return view => {
    next = view
    if (!isBusy) void write()
  }
}

async function keptView(folder: string, log: Log): Promise<View | undefined> {
  try {
    const text = await readTextIfAny(fileIn(folder))
    const kept = text === undefined ? undefined : (JSON.parse(text) as { format?: number; view?: View })
    return kept?.format === format ? kept.view : undefined
  } catch (thrown) {
    log.warn('the kept configuration cannot be read', { error: String(thrown) })
    return undefined
  }
}

/** How long the last known configuration waits for the control plane before it is used. */
const keptAfterMs = 1500

/** Uses what was kept when the control plane has not told anything by then; `close` when there is nothing more to wait for. */
export function fallBackTo(folder: string, log: Log, { hasView, use }: { hasView: () => boolean; use: (view: View) => void }): () => void {
  const timer = setTimeout(async () => {
    const kept = hasView() ? undefined : await keptView(folder, log)
    if (kept === undefined || hasView()) return
    log.warn('the control plane does not answer; serving by the configuration of last time')
    use(kept)
  }, keptAfterMs)
  return () => clearTimeout(timer)
}
