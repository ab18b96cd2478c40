/** /weft/v1/users: who has a token, and by whom it was made. */

import { readGrant, type Grant } from '#api/rights'
import type { User, UserReply } from '#api/mesh-api'
import { authorOf } from '../api/author.ts'
import { json } from '../api/call.ts'
import type { ExtraRoute } from '../api/extra.ts'
import { Refusal } from '../api/refusal.ts'
import type { Store } from '../store.ts'
import type { Users } from './users.ts'

const monthSeconds = 30 * 86_400
const longestSeconds = 10 * 365 * 86_400

export function userRoutes(users: Users, store: Store): ExtraRoute[] {
  const about = (name: string) => ({ group: '', kind: 'User', namespace: '', name })
  return [
    { method: 'GET', path: '/weft/v1/users', handle: () => json(200, users.list()) },
    {
      method: 'POST',
      path: '/weft/v1/users',
      handle: async request => {
        const { name, grants, ttlSeconds } = asRequest(new TextDecoder().decode(await request.body()))
        const by = authorOf(request)
        const made: UserReply = users.create({
          name,
          grants,
          madeBy: by.who,
          ...(ttlSeconds === 0 ? {} : { lifeMs: ttlSeconds * 1000 }),
        })
        store.note(`created with ${made.user.roles.join(' and ')}`, about(name), by)
        return json(201, made)
      },
    },
    {
      method: 'DELETE',
      path: '/weft/v1/users/:name',
      handle: (request, { name = '' }) => {
        const user = users.revoke(name)
        if (user === undefined) throw new Refusal(404, 'NotFound', `there is no user "${name}"; weft user list tells who there is`)
        store.note('revoked', about(name), authorOf(request))
        return json(200, user satisfies User)
      },
    },
  ]
}

/** ttlSeconds: 0 for ever, 30 days unless said. */
function asRequest(text: string): { readonly name: string; readonly grants: readonly Grant[]; readonly ttlSeconds: number } {
  let said: unknown
  try {
    said = JSON.parse(text)
  } catch (thrown) {
    throw new Refusal(400, 'BadRequest', `the body is not JSON: ${(thrown as Error).message}`)
  }
  const { name, roles, ttlSeconds = monthSeconds } = (said ?? {}) as Record<string, unknown>
  if (typeof name !== 'string' || !/^[\w.@+-]{1,100}$/.test(name))
    throw new Refusal(400, 'BadRequest', 'name: must be letters, digits, ".", "_", "-", "+" and "@", 100 at most')
  if (!Array.isArray(roles) || roles.length === 0 || roles.length > 100)
    throw new Refusal(400, 'BadRequest', 'roles: must be a list of roles such as ["viewer", "editor:shop"]')
  const grants = roles.map((each): Grant => {
    const read = typeof each === 'string' ? readGrant(each) : 'must be a text such as "editor:shop"'
    if (typeof read === 'string') throw new Refusal(400, 'BadRequest', `roles: ${JSON.stringify(each)}: ${read}`)
    return read
  })
  if (typeof ttlSeconds !== 'number' || !Number.isFinite(ttlSeconds) || ttlSeconds < 0 || ttlSeconds > longestSeconds)
    throw new Refusal(400, 'BadRequest', `ttlSeconds: must be a number of seconds up to ${longestSeconds}, or 0 for a token without end`)
  return { name, grants, ttlSeconds }
}
