/** `weft token`: join tokens, each for one workload identity, made, listed and revoked. */

import type { JoinTokenTold } from '#api/mesh-api'
import { exit } from '../exit.ts'
import { Flags } from '../flags/collect.ts'
import { tellAgo, tellSpan } from '../moment.ts'
import { printAs } from '../print.ts'
import type { Session } from '../session.ts'
import { printTable } from '../table.ts'

type Given = {
  readonly namespace?: string
  readonly serviceAccount?: string
  readonly ttl?: string
  readonly uses?: string
  readonly selector?: string
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
  const [uses, selector] = [flags.whole('uses', 1, 1_000_000), flags.text('selector')]
  flags.stopIfWrong()
  const { client, address } = await session.reach(given.control)
  const reply = await client.createToken({
    namespace: namespace ?? address.namespace,
    serviceAccount,
    ttlSeconds: Math.round(ttlMs / 1000),
    ...(uses === undefined ? {} : { uses }),
    ...(selector === undefined ? {} : { selector }),
  })
  if (given.output) await printAs(say, given.output, reply)
  else {
    say.out(reply.token)
    if (say.isTTY)
      say.err(
        say.paint(
          'dim',
          `for ${reply.identity}, to be used ${uses === undefined ? '' : uses === 1 ? 'once ' : `${uses} times `}within ${tellSpan(Date.parse(reply.expiresAt) - session.now())}; its id: ${reply.id}`,
        ),
      )
  }
  return exit.ok
}

type ListGiven = { readonly all?: boolean; readonly output?: 'table' | 'json' | 'yaml'; readonly control?: string }

export async function listTokens(session: Session, { all = false, output = 'table', control }: ListGiven): Promise<number> {
  const { say, now } = session
  const { client } = await session.reach(control)
  const tokens = (await client.tokens()).filter(({ state }) => all || state === 'usable')
  if (output !== 'table') await printAs(say, output, { items: tokens })
  else if (tokens.length === 0) say.err(all ? 'no join token was made' : 'no join token can be used: make one with weft token create')
  else
    printTable(
      say,
      [
        { name: 'id' },
        { name: 'identity' },
        { name: 'state' },
        { name: 'used' },
        { name: 'expires' },
        { name: 'labels' },
        { name: 'last use' },
        { name: 'by' },
      ],
      tokens.map(token => [
        token.id,
        token.identity,
        token.state,
        `${token.used}${token.uses === undefined ? '' : `/${token.uses}`}`,
        token.state === 'usable' ? `in ${tellSpan(Date.parse(token.expiresAt) - now())}` : token.expiresAt,
        token.selector ?? '',
        usedBy(token, now()),
        token.createdBy,
      ]),
    )
  return exit.ok
}

const usedBy = ({ lastUse }: JoinTokenTold, now: number): string =>
  lastUse === undefined ? '' : `${tellAgo(lastUse.at, now)} from ${lastUse.from}`

/** text: the id, or the token, whose id it says itself. */
export async function revokeToken(session: Session, text: string, { control }: { readonly control?: string }): Promise<number> {
  const { client } = await session.reach(control)
  const { id, identity, used } = await client.revokeToken(idIn(text))
  session.say.out(
    `join token ${id} for ${identity} is revoked; ${used === 0 ? 'nobody used it' : `it was used ${used === 1 ? 'once' : `${used} times`}, and who joined by it stays in the mesh`}`,
  )
  return exit.ok
}

function idIn(text: string): string {
  const [, claims] = text.trim().split('.')
  if (claims === undefined) return text.trim()
  try {
    return String((JSON.parse(Buffer.from(claims, 'base64url').toString()) as { readonly jti?: unknown }).jti)
  } catch {
    return text.trim()
  }
}
