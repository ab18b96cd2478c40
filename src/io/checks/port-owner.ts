/** Which process listens on a TCP port of this machine, as far as this user may see (proc(5)). */

import { readFileSync, readdirSync, readlinkSync } from 'node:fs'

/** `node (process 812)`; undefined when nobody listens or it cannot be seen. */
export function portOwner(port: number): string | undefined {
  const sockets = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap(file => listening(file, port)).map(inode => `socket:[${inode}]`))
  if (sockets.size === 0) return undefined
  const pid = attempt(() => readdirSync('/proc'))?.find(name => /^\d+$/.test(name) && holds(name, sockets))
  return pid === undefined
    ? undefined
    : `${attempt(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trim()) ?? 'a program'} (process ${pid})`
}

/** Inodes of the sockets in state 0A (TCP_LISTEN) on that port. */
function listening(file: string, port: number): string[] {
  const rows =
    attempt(() => readFileSync(file, 'utf8'))
      ?.split('\n')
      .slice(1) ?? []
  return rows.flatMap(row => {
    const [, local = '', , state, , , , , , inode = ''] = row.trim().split(/\s+/)
    return state === '0A' && Number.parseInt(local.split(':')[1] ?? '', 16) === port ? [inode] : []
  })
}

const holds = (pid: string, sockets: ReadonlySet<string>): boolean =>
  (attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? []).some(fd => sockets.has(attempt(() => readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? ''))

function attempt<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
