/** `weft status` when no control plane answers: since when, and what its proxies on this machine still do. */

import type { ControlAddress } from '../context.ts'
import { exit } from '../exit.ts'
import { tellSpan } from '../moment.ts'
import { printAs } from '../print.ts'
import type { Session } from '../session.ts'
import { printTable, judgeStyle } from '../table.ts'
import { notReached } from '../unreachable.ts'
import { lastSeen } from './seen.ts'

type Serving = { readonly id: string; readonly admin: string; readonly state: 'serving' | 'waiting' | 'draining' | 'gone' }

export async function tellDown(
  session: Session,
  address: ControlAddress,
  unreachable: Error,
  output: 'table' | 'json' | 'yaml',
): Promise<number> {
  const { say, edge, now } = session
  const seen = await lastSeen(edge.configFolder, address.url)
  const proxies = await Promise.all((seen?.proxies ?? []).map(askAdmin))
  const lines = notReached(unreachable.message, address)
  if (output !== 'table') {
    await printAs(say, output, {
      reachable: false,
      control: address.url,
      from: address.from,
      error: lines[0],
      ...(seen ? { lastSeen: seen.at } : {}),
      proxies,
    })
    return exit.failed
  }
  say.out(`${say.paint('bold', 'control plane'.padEnd(15))}${say.paint('red', 'down')}: ${lines[0]}`)
  say.out(lines[1]!)
  say.out(
    seen
      ? `  last seen ${tellSpan(now() - Date.parse(seen.at))} ago (${seen.at}); since when it is down is not known more exactly`
      : '  this user has never seen it up, so since when is not known',
  )
  const here = proxies.filter(({ state }) => state !== 'gone')
  if (here.length === 0) return exit.failed
  say.out(`\nproxies of it on this machine go on with the configuration and certificates they have:`)
  printTable(
    say,
    [{ name: 'proxy' }, { name: 'state', style: cell => (cell === 'serving' ? 'green' : judgeStyle(cell)) }, { name: 'admin' }],
    here.map(({ id, state, admin }) => [id, state, admin]),
  )
  return exit.failed
}

/** Admin ports listen on loopback, so only those of this machine answer. */
async function askAdmin({ id, admin }: { readonly id: string; readonly admin: string }): Promise<Serving> {
  try {
    const response = await fetch(`${admin.replace(/\/$/, '')}/status`, { signal: AbortSignal.timeout(1000) })
    const { ready, draining } = (await response.json()) as { ready?: boolean; draining?: boolean }
    return { id, admin, state: draining ? 'draining' : ready ? 'serving' : 'waiting' }
  } catch {
    return { id, admin, state: 'gone' }
  }
}
