/** /weft/v1/tokens: join tokens made, listed and revoked; and /weft/v1/jwks: the keys of tokens that workloads get (JWT-SVIDs). */

import type { JoinTokenTold, TokenReply, TokenRequest } from '#api/mesh-api'
import { controlId, type SpiffeId, workloadId, workloadOf } from '#identity/spiffe'
import { readToken } from '#identity/token'
import { type ExtraRoute, json, Refusal } from './api.ts'
import { authorOf } from './api/author.ts'
import type { Authority } from './authority.ts'
import type { JoinTokenKept, JoinTokens } from './join-tokens.ts'
import { RevokedError } from './withdrawn.ts'
import type { Store } from './store.ts'
import { labelsPredicate } from './store/selector.ts'

export type TokenWish = {
  readonly identity: SpiffeId
  readonly lifeMs?: number | undefined
  readonly uses?: number | undefined
  readonly selector?: string | undefined
  readonly createdBy: string
}
export type TokenMade = { readonly token: string; readonly id: string; readonly expiresAt: number }

/** Makes join tokens that are remembered. xds: where proxies connect. */
export const tokenMaker =
  (parts: {
    readonly authority: Pick<Authority, 'issueToken'>
    readonly tokens: JoinTokens
    readonly xds: () => { readonly host: string; readonly port: number }
  }) =>
  async ({ identity, lifeMs, ...wish }: TokenWish): Promise<TokenMade> => {
    const { host, port } = parts.xds()
    const life = lifeMs === undefined ? {} : { lifeMs }
    const { token, expiresAt } = await parts.authority.issueToken({ identity, xds: `${host}:${port}`, ...life }).catch(refusedAsRevoked)
    const { id } = readToken(token, 0)
    parts.tokens.add(token, { id, identity, expiresAt, ...wish })
    return { token, id, expiresAt }
  }

/** Who is revoked gets none. */
function refusedAsRevoked(thrown: unknown): never {
  throw thrown instanceof RevokedError ? new Refusal(409, 'Conflict', thrown.message) : thrown
}

export type TokenParts = {
  readonly authority: Pick<Authority, 'trustDomain' | 'idTemplate'>
  readonly tokens: JoinTokens
  readonly store: Store
  readonly make: ReturnType<typeof tokenMaker>
  /** Of JWT-SVIDs, JSON. */
  readonly jwks: () => string
}

export function tokenRoutes({ authority, tokens, store, make, jwks }: TokenParts): ExtraRoute[] {
  return [
    {
      method: 'POST',
      path: '/weft/v1/tokens',
      handle: async request => {
        const { namespace, serviceAccount, ttlSeconds, uses, selector } = asRequest(new TextDecoder().decode(await request.body()))
        const identity = workloadId(authority.trustDomain, { namespace, serviceAccount }, authority.idTemplate)
        if (identity === controlId(authority.trustDomain))
          throw new Refusal(
            400,
            'BadRequest',
            `${identity} is the control plane itself: whoever had its certificate could be it to every proxy`,
          )
        const by = authorOf(request)
        const lifeMs = ttlSeconds === undefined ? undefined : ttlSeconds * 1000
        const { token, id, expiresAt } = await make({ identity, lifeMs, uses, selector, createdBy: by.who })
        store.note('created', { group: '', kind: 'JoinToken', namespace, name: serviceAccount }, by)
        return json(201, { token, expiresAt: new Date(expiresAt).toISOString(), identity, id } satisfies TokenReply)
      },
    },
    {
      method: 'GET',
      path: '/weft/v1/jwks',
      handle: () => ({ status: 200, headers: { 'content-type': 'application/jwk-set+json' }, body: jwks() }),
    },
    { method: 'GET', path: '/weft/v1/tokens', handle: () => json(200, tokens.list().map(told)) },
    {
      method: 'DELETE',
      path: '/weft/v1/tokens/:id',
      handle: (request, { id = '' }) => {
        const revoked = tokens.revoke(id)
        if (revoked === undefined)
          throw new Refusal(404, 'NotFound', `no join token has the id "${id}"; "weft token list" (GET /weft/v1/tokens) lists them`)
        store.note('revoked', joinToken(revoked.identity, authority.idTemplate), authorOf(request))
        return json(200, told(revoked))
      },
    },
  ]
}

/** What the record calls a join token: by whom it lets one be. idTemplate: of the ids of the mesh. */
export function joinToken(identity: string, idTemplate: string): Parameters<Store['note']>[1] {
  const workload = workloadOf(identity, idTemplate)
  return { group: '', kind: 'JoinToken', namespace: workload?.namespace ?? '', name: workload?.serviceAccount ?? identity }
}

const told = ({ createdAt, expiresAt, revokedAt, lastUse, ...kept }: JoinTokenKept): JoinTokenTold => ({
  id: kept.id,
  identity: kept.identity,
  state: kept.state,
  used: kept.used,
  ...(kept.uses === undefined ? {} : { uses: kept.uses }),
  ...(kept.selector === undefined ? {} : { selector: kept.selector }),
  createdAt: time(createdAt),
  createdBy: kept.createdBy,
  expiresAt: time(expiresAt),
  ...(revokedAt === undefined ? {} : { revokedAt: time(revokedAt) }),
  ...(lastUse === undefined ? {} : { lastUse: { at: time(lastUse.at), from: lastUse.from } }),
})

const time = (ms: number): string => new Date(ms).toISOString()

const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

function asRequest(text: string): TokenRequest {
  const wrong = (says: string): Refusal => new Refusal(400, 'BadRequest', says)
  let said: unknown
  try {
    said = JSON.parse(text)
  } catch (thrown) {
    throw wrong(`the body is not JSON: ${(thrown as Error).message}`)
  }
  const { namespace, serviceAccount, ttlSeconds, uses, selector } = (said ?? {}) as Record<string, unknown>
  for (const [name, value] of Object.entries({ namespace, serviceAccount }))
    if (typeof value !== 'string' || !label.test(value)) throw wrong(`${name}: must be lower-case letters, digits and dashes, at most 63`)
  if (ttlSeconds !== undefined && (typeof ttlSeconds !== 'number' || !(ttlSeconds > 0) || ttlSeconds > 604_800))
    throw wrong('ttlSeconds: must be a number above 0, at most 604800 (a week)')
  if (uses !== undefined && (!Number.isInteger(uses) || (uses as number) < 1 || (uses as number) > 1_000_000))
    throw wrong('uses: must be a whole number from 1 to 1000000; absent: any number of times')
  if (selector !== undefined) {
    if (typeof selector !== 'string' || selector.trim() === '' || selector.length > 1000)
      throw wrong('selector: must be a label selector such as app=web,version=v2')
    try {
      labelsPredicate(selector)
    } catch (thrown) {
      throw wrong(`selector: ${(thrown as Error).message}`)
    }
  }
  return {
    namespace: namespace as string,
    serviceAccount: serviceAccount as string,
    ...(ttlSeconds === undefined ? {} : { ttlSeconds: ttlSeconds as number }),
    ...(uses === undefined ? {} : { uses: uses as number }),
    ...(selector === undefined ? {} : { selector: selector as string }),
  }
}
