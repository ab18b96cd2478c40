/** `weft proxy connections`: what TLS agreed on, connection by connection, asked of the proxy itself. */

import { exit, Stopped } from '../exit.ts'
import { tellAgo } from '../moment.ts'
import { printAs } from '../print.ts'
import type { Session } from '../session.ts'
import { printTable } from '../table.ts'
import { chooseProxy } from './proxy.ts'

type Given = { readonly output?: 'table' | 'json' | 'yaml'; readonly namespace?: string; readonly control?: string }
/** As the proxy tells it. since: RFC 3339. */
type Connection = Readonly<Record<'side' | 'address' | 'version' | 'group' | 'cipher' | 'since', string>> & { readonly peer?: string }

export async function proxyConnections(session: Session, name: string, { output = 'table', namespace, control }: Given): Promise<number> {
  const { say, now } = session
  const { client, address } = await session.reach(control)
  const { id, admin, identity } = await chooseProxy(client, name, namespace ?? address.namespace)
  const found = admin === undefined ? undefined : await askedOf(admin, identity)
  if (found === undefined)
    throw new Stopped(`the admin pages of ${id} (${admin ?? 'it has none'}) cannot be asked from here: ask on its machine`)
  if (output !== 'table') await printAs(say, output, found)
  else if (found.length === 0) say.err(`${id} has no connection with TLS now`)
  else
    printTable(
      say,
      [
        { name: 'side' },
        { name: 'address' },
        { name: 'peer' },
        { name: 'version' },
        { name: 'group' },
        { name: 'cipher' },
        { name: 'since' },
      ],
      found.map(each => [each.side, each.address, each.peer ?? '', each.version, each.group, each.cipher, tellAgo(each.since, now())]),
    )
  return exit.ok
}

/** On another machine the same address is another program, so the identity is compared. */
async function askedOf(admin: string, identity: string): Promise<readonly Connection[] | undefined> {
  const ask = async (path: string): Promise<unknown> => (await fetch(`${admin}${path}`, { signal: AbortSignal.timeout(2000) })).json()
  try {
    const { certificate } = (await ask('/status')) as { readonly certificate?: { readonly identity?: string } }
    return certificate?.identity === identity ? ((await ask('/connections')) as readonly Connection[]) : undefined
  } catch {
    return undefined
  }
}
