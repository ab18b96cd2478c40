/** Which DNS servers this machine uses: read from resolv.conf, again whenever that changed; systemd-resolved is recognised. */

import { readFileSync, statSync } from 'node:fs'

/** Where systemd-resolved answers (systemd-resolved.service(8)); and where it writes down which servers it asks itself. */
const stubs: ReadonlySet<string> = new Set(['127.0.0.53', '127.0.0.54'])
const upstreamFile = '/run/systemd/resolve/resolv.conf'

/** Asked at most so often whether the file changed. */
const lookAgainMs = 2000

export type ServersOptions = {
  readonly file?: string
  readonly upstreamFile?: string
  /** Ask the servers behind systemd-resolved, not itself: needed where its own questions are captured and would come back here. */
  readonly passStub?: boolean
}

/** Addresses in order. With no server named, 127.0.0.1 (resolv.conf(5)). */
export function machineServers(options: ServersOptions = {}): () => readonly string[] {
  const { file = '/etc/resolv.conf', passStub = false } = options
  let known: readonly string[] | undefined
  let seen = -1
  let lookedAt = 0
  return () => {
    const now = performance.now()
    if (known !== undefined && now - lookedAt < lookAgainMs) return known
    lookedAt = now
    const changed = changedAt(file)
    if (known === undefined || changed !== seen) {
      seen = changed
      const named = serversIn(readText(file))
      const behind = passStub && named.every(server => stubs.has(server)) ? serversIn(readText(options.upstreamFile ?? upstreamFile)) : []
      known = behind.length > 0 ? behind : named.length > 0 ? named : ['127.0.0.1']
    }
    return known
  }
}

/** `nameserver` lines (resolv.conf(5)), without the zone names of other machines' syntax. */
const serversIn = (text: string): string[] => [...text.matchAll(/^[ \t]*nameserver[ \t]+(\S+)/gm)].map(([, server]) => server!)

function changedAt(file: string): number {
  try {
    return statSync(file).mtimeMs
  } catch {
    return 0
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
