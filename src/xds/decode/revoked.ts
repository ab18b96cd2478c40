/** Whom no proxy is to believe, read from the generic secret that encode/revoked.ts makes. */

import { type IdTemplates, whyNotIdTemplate } from '#base/id-template'
import type { TextMatch } from '#model/access-rule'
import type { Revoked, Trust } from '#model/trust'
import { type Secret, SecretSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { carries, refuse, textOf } from './carried.ts'

const checkSecret = carries(SecretSchema, ['name', 'generic_secret'])
const types: readonly string[] = ['exact', 'prefix', 'suffix', 'regex'] satisfies TextMatch['type'][]

export type ToldBeside = Pick<Trust, 'revoked' | 'crls' | 'idTemplates'>

export function decodeRevoked(message: Secret): ToldBeside {
  checkSecret(message, '')
  if (message.type.case !== 'genericSecret') return refuse('', 'must be a generic secret')
  let said: { readonly revoked?: unknown; readonly crls?: unknown; readonly idTemplates?: unknown }
  try {
    said = JSON.parse(textOf(message.type.value.secret, 'generic_secret')) as typeof said
  } catch {
    return refuse('generic_secret', 'must be JSON')
  }
  const { revoked, crls, idTemplates } = said ?? {}
  if (!Array.isArray(revoked) || !Array.isArray(crls)) return refuse('generic_secret', 'must have the lists revoked and crls')
  for (const [at, each] of revoked.entries()) if (!isRevokedEntry(each)) refuse(`generic_secret.revoked[${at}]`, 'names nobody')
  for (const [at, each] of crls.entries()) if (typeof each !== 'string') refuse(`generic_secret.crls[${at}]`, 'must be text')
  if (idTemplates !== undefined && !areTemplates(idTemplates))
    refuse('generic_secret.idTemplates', 'must have templates of SPIFFE ids by trust domain')
  return {
    ...(idTemplates === undefined ? {} : { idTemplates: idTemplates as IdTemplates }),
    ...(revoked.length === 0 ? {} : { revoked: revoked as readonly Revoked[] }),
    ...(crls.length === 0 ? {} : { crls: crls as readonly string[] }),
  }
}

const areTemplates = (value: unknown): value is IdTemplates =>
  typeof value === 'object' &&
  value !== null &&
  Object.values(value).every(each => typeof each === 'string' && whyNotIdTemplate(each) === undefined)

function isRevokedEntry(value: unknown): value is Revoked {
  const { by, reason, identity, serial } = (value ?? {}) as Record<string, unknown>
  if (typeof by !== 'string' || typeof reason !== 'string') return false
  if (identity === undefined) return typeof serial === 'string' && /^[0-9a-f]+$/.test(serial)
  const { type, value: text } = identity as Record<string, unknown>
  return serial === undefined && typeof type === 'string' && types.includes(type) && typeof text === 'string'
}
