/** `weft version`: of this command and of the control plane. */

import { exit } from '../exit.ts'
import { printAs } from '../print.ts'
import type { Session } from '../session.ts'

type Flags = { readonly client?: boolean; readonly output?: 'json' | 'yaml'; readonly control?: string }

/** A control plane that does not answer is told, and no failure when nothing was said of one. */
export async function version(session: Session, flags: Flags): Promise<number> {
  const { say, edge } = session
  const asked = flags.client ? undefined : await serverVersion(session, flags.control)
  if (flags.output) await printAs(say, flags.output, { client: edge.version, ...(asked ? { control: asked } : {}) })
  else {
    say.out(`weft     ${edge.version}`)
    if (asked) say.out(`control  ${asked.version ?? `not known: ${asked.error}`} at ${asked.url}`)
    if (asked?.version !== undefined && asked.version !== edge.version) say.err('weft: the versions differ: use the same on both ends')
  }
  return asked?.error !== undefined && flags.control !== undefined ? exit.failed : exit.ok
}

type Asked = { readonly url: string; readonly version?: string; readonly error?: string }

export async function serverVersion(session: Session, control: string | undefined): Promise<Asked> {
  const { client, address } = await session.reach(control)
  try {
    return { url: address.url, version: (await client.status()).version }
  } catch (thrown) {
    return { url: address.url, error: (thrown as Error).message }
  }
}
