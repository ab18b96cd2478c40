/** `weft user`: who may use the operator API. */

import { readGrant, tellGrant } from '#api/rights'
import { exit, Stopped } from '../exit.ts'
import { Flags } from '../flags/collect.ts'
import { tellAgo, tellSpan } from '../moment.ts'
import { printAs } from '../print.ts'
import type { Session } from '../session.ts'
import { printTable } from '../table.ts'

type Given = { readonly control?: string; readonly output?: 'table' | 'json' | 'yaml' | 'name' }

/** The token alone goes to stdout, so that `> ada.token` is it. */
export async function createUser(
  session: Session,
  name: string,
  given: Given & { readonly role?: readonly string[]; readonly ttl?: string },
): Promise<number> {
  const { say } = session
  const flags = new Flags(given)
  const roles = flags.each('role', text => {
    const read = readGrant(text)
    return typeof read === 'string' ? { says: read } : { value: tellGrant(read) }
  })
  const ttlMs = flags.duration('ttl')
  if ((given.role ?? []).length === 0)
    flags.missing('--role', 'what the user may do: viewer, editor or admin, such as --role editor:shop', '')
  flags.stopIfWrong()
  const { client } = await session.reach(given.control)
  const reply = await client.createUser({ name, roles, ...(ttlMs === undefined ? {} : { ttlSeconds: Math.round(ttlMs / 1000) }) })
  if (given.output === 'json' || given.output === 'yaml') await printAs(say, given.output, reply)
  else {
    const { expiresAt } = reply.user
    const holds = expiresAt === undefined ? 'for ever' : `for ${tellSpan(Date.parse(expiresAt) - session.now())}`
    say.out(reply.token)
    if (say.isTTY) say.err(say.paint('dim', `of ${name}, ${reply.user.roles.join(' and ')}, ${holds}; it is told only now`))
  }
  return exit.ok
}

export async function listUsers(session: Session, { output = 'table', control }: Given): Promise<number> {
  const { say, now } = session
  const users = await (await session.reach(control)).client.users()
  if (output === 'json' || output === 'yaml') await printAs(say, output, { items: users })
  else if (output === 'name') for (const { name } of users) say.out(name)
  else if (users.length === 0) say.err('no users with tokens yet: weft user create NAME --role ROLE')
  else
    printTable(
      say,
      [{ name: 'name' }, { name: 'roles' }, { name: 'made' }, { name: 'by' }, { name: 'expires' }, { name: 'last used' }],
      users.map(({ name, roles, createdAt, createdBy, expiresAt, lastUsedAt }) => [
        name,
        roles.join(' '),
        tellAgo(createdAt, now()),
        createdBy,
        expiresAt === undefined ? 'never' : Date.parse(expiresAt) <= now() ? 'expired' : `in ${tellSpan(Date.parse(expiresAt) - now())}`,
        lastUsedAt === undefined ? 'never' : tellAgo(lastUsedAt, now()),
      ]),
    )
  return exit.ok
}

export async function revokeUser(session: Session, name: string, { control }: Given): Promise<number> {
  const { client } = await session.reach(control)
  await client.revokeUser(name)
  session.say.out(`user ${name} revoked`)
  return exit.ok
}

export async function whoami(session: Session, { output, control }: Given): Promise<number> {
  const { say } = session
  const { client, address } = await session.reach(control)
  const login = await client.login()
  if (output === 'json' || output === 'yaml') await printAs(say, output, login)
  else if (login.user === undefined)
    throw new Stopped(`${address.url} does not know you, and requires login: give --token-file, WEFT_TOKEN or a client certificate`)
  else {
    const { name, how, grants, until } = login.user
    const roles = grants.length === 0 ? 'no role' : grants.map(tellGrant).join(' and ')
    const lasts = until === undefined ? '' : `, for ${tellSpan(Date.parse(until) - session.now())} still`
    say.out(`${name}${how === '' ? ', who did not have to log in' : ` by ${how}`}: ${roles}${lasts}`)
  }
  return exit.ok
}
