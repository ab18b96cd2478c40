/** What this process itself uses, for those who look for leaks. */

import process from 'node:process'

export type OwnUse = {
  readonly pid: number
  readonly rssBytes: number
  readonly heapBytes: number
  /** What keeps the event loop alive, by kind: `Timeout`, `TCPSocketWrap`. */
  readonly resources: Readonly<Record<string, number>>
}

export function ownUse(): OwnUse {
  const { rss, heapUsed } = process.memoryUsage()
  const resources: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1
  return { pid: process.pid, rssBytes: rss, heapBytes: heapUsed, resources }
}
