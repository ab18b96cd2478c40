/** `weft token create`: a join token for one workload identity. */

import { exit } from '../exit.ts'
import { Flags } from '../flags/collect.ts'
import { tellSpan } from '../moment.ts'
import { printAs } from '../print.ts'
import type { Session } from '../session.ts'

type Given = {
  readonly namespace?: string
  readonly serviceAccount?: string
  readonly ttl?: string
  readonly output?: 'json' | 'yaml'
  readonly control?: string
}

/** The token alone goes to stdout, so that `$(weft token create …)` is it. */
export async function createToken(session: Session, given: Given): Promise<number> {
  const { say } = session
  const flags = new Flags(given)
  const serviceAccount =
    flags.label('serviceAccount') ?? flags.missing('--service-account', 'that of the workload, usually the name of its service', '')
  const ttlMs = flags.duration('ttl') ?? 600_000
  if (ttlMs < 1000) flags.wrong('--ttl must be a second or more')
  const namespace = flags.label('namespace')
  flags.stopIfWrong()
  const { client, address } = await session.reach(given.control)
  const reply = await client.createToken({
    namespace: namespace ?? address.namespace,
    serviceAccount,
    ttlSeconds: Math.round(ttlMs / 1000),
  })
  if (given.output) await printAs(say, given.output, reply)
  else {
    say.out(reply.token)
    if (say.isTTY)
      say.err(say.paint('dim', `for ${reply.identity}, to be used within ${tellSpan(Date.parse(reply.expiresAt) - session.now())}`))
  }
  return exit.ok
}
